"""Show attributes of a list as one line of JSON: `withlist -r show LIST NAME ...`."""

from __future__ import print_function

import json


def show(m, *names):
    print(json.dumps(dict((name, getattr(m, name)) for name in names), sort_keys=True))
