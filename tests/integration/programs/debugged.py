"""Something to step through."""


def double(value):
    result = value * 2
    return result


print(double(21))
