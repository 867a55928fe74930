"""Backup and restore: the whole database as of one instant in one file, and back.

archive.py    the file as it is written: parts, manifest, seal
reading.py    the file as it is checked and read
take.py       database -> file
put_back.py   file -> database
"""
