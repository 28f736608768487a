"""What every face can do, once: the command line, the dashboard and the hook call these and add nothing of their own.

In: paths, URLs, settings. Out: documents, results, files. Never: prints, asks, draws, or decides what the rooms below decide.
"""
