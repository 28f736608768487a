"""Anything -> html, xlsx, csv, json.

In: what the other rooms made. Out: files people read. Every name is escaped for the surface it lands on. Never: computes
a figure that another room owns.
"""
