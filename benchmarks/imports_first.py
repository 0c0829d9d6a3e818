"""Run a program after importing modules that it does not use: ``imports_first.py PROGRAM``.

What objects that are merely there cost a program: each of its full collections visits them.
"""

import argparse
import csv
import decimal
import email.message
import fractions
import http.client
import logging
import runpy
import statistics
import sys
import tarfile
import unittest
import xml.dom.minidom
import zipfile

UNUSED = (
    argparse, csv, decimal, email.message, fractions, http.client, logging, statistics, tarfile,
    unittest, xml.dom.minidom, zipfile,
)  # fmt: skip

if __name__ == "__main__":
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
