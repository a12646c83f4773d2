"""Checks the size of the client in a wheel, without the server.

size.py WHEEL BYTES
"""

import sys
import zipfile

with zipfile.ZipFile(sys.argv[1]) as wheel:
    client = sum(entry.compress_size for entry in wheel.infolist() if "/bin/" not in entry.filename)
print(f"The client takes {client:,} bytes of the wheel.")
if client > int(sys.argv[2]):
    sys.exit(f"that is more than {int(sys.argv[2]):,}")
