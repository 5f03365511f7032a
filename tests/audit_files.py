"""What the tests of all audits share: a table laid into the current folder as a file."""


def save(frame, name):
    """Write a table as its name's suffix says, and return the name."""
    if name.endswith(".parquet"):
        frame.to_parquet(name)
    else:
        frame.to_csv(name, index=False)
    return name
