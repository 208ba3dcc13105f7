"""Catalogue: names of tables are names of changelog topics, and so for ever."""

from tables.catalogue import TABLES


def test_the_tables_of_the_engine() -> None:
    assert [(table.name, table.version, table.scales) for table in TABLES] == [
        ("trades", 1, True),
        ("outcomes", 2, True),
        ("epochs", 1, True),
        ("book", 1, False),
        ("announced", 2, False),
    ]


def test_each_says_what_it_holds() -> None:
    for table in TABLES:
        assert table.key
        assert table.value
        assert table.grows_with
