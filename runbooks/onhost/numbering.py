# Says which of many things are meant, in few characters: "0-3,7".
#
# Python 2.7 and 3, standard library alone. Of ten thousand addresses, a list mostly knows all
# or none: to send the addresses themselves, for each list, would take longer than the work.
from __future__ import print_function


def told(numbers):
    """The text for numbers in rising order."""
    spans = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join("%d-%d" % (a, b) if a != b else "%d" % a for a, b in spans)
