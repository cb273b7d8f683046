"""A scripted change: `runbook withlist append.py ADDRESS`."""


def append(m, address):
    m.Lock(timeout=15.0)
    try:
        m.accept_these_nonmembers.append(address)
        m.Save()
    finally:
        m.Unlock()
