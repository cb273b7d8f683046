# The script that the page had before, for `withlist -q -a -r original.ban ADDRESS`.


def ban(m, address):
    try:
        m.Lock()
        if address not in m.ban_list:
            m.ban_list.append(address)
        m.Save()
    finally:
        m.Unlock()
