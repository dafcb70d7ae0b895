"""The page of before and after: one HTML file, for a folder on somebody's machine and for one in the results bucket.

Pure functions of data, so that whoever has the data can write it. ``page.css`` and ``page.js`` go into every page as they are.
"""
