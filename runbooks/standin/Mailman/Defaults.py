"""The settings an installation starts from; mm_cfg.py takes them all and changes some.

As in Mailman, a folder that is derived from another one is derived here: an mm_cfg.py that
changes VAR_PREFIX has to set the folders below it too.
"""

import os


def seconds(s):
    return s


def minutes(m):
    return m * 60


def hours(h):
    return h * 60 * 60


def days(d):
    return d * 60 * 60 * 24


Yes = yes = On = on = True
No = no = Off = off = False

# Who the programs run as.
MAILMAN_USER = "list"
MAILMAN_GROUP = "list"

# Where things are. The programs: wherever this package is; the lists: as Debian has them.
PREFIX = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
EXEC_PREFIX = PREFIX
BIN_DIR = os.path.join(PREFIX, "bin")

VAR_PREFIX = "/var/lib/mailman"
LIST_DATA_DIR = os.path.join(VAR_PREFIX, "lists")
LOCK_DIR = os.path.join(VAR_PREFIX, "locks")
LOG_DIR = os.path.join(VAR_PREFIX, "logs")
DATA_DIR = os.path.join(VAR_PREFIX, "data")
QUEUE_DIR = os.path.join(VAR_PREFIX, "qfiles")
PUBLIC_ARCHIVE_FILE_DIR = os.path.join(VAR_PREFIX, "archives", "public")
PRIVATE_ARCHIVE_FILE_DIR = os.path.join(VAR_PREFIX, "archives", "private")

# Hosts.
DEFAULT_EMAIL_HOST = os.uname()[1]
DEFAULT_URL_HOST = DEFAULT_EMAIL_HOST
DEFAULT_URL_PATTERN = "http://%s/mailman/"
VIRTUAL_HOSTS = {}


def add_virtualhost(urlhost, emailhost=None):
    """Say that lists whose web pages are on `urlhost` have their addresses on `emailhost`."""
    VIRTUAL_HOSTS[urlhost.lower()] = (emailhost or urlhost).lower()


# Locks, in seconds.
LIST_LOCK_LIFETIME = hours(5)
LIST_LOCK_DEBUGGING = 0

# Lists.
MAILMAN_SITE_LIST = "mailman"
DEFAULT_SERVER_LANGUAGE = "en"
GLOBAL_BAN_LIST = []

# What newlist prints: the mail aliases to add by hand ('Manual'), or nothing (None).
MTA = "Manual"

# The children of mailmanctl: (name, how many).
QRUNNERS = [("IncomingRunner", 1), ("OutgoingRunner", 1)]
