"""Something to step through."""


def double(value):
    result = value * 2
    result += 0
    return result


print(double(21))
