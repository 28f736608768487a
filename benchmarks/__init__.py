"""Quality and speed against published anchors and real data; not part of the test run."""
