"""How schemas take up what files bring, what alters a table so, and schema hints."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    ByteType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    TimeType,
    YearMonthIntervalType,
)

from medallion_jobs.autoloader.schemas.evolution import (
    alterations,
    is_wider,
    merge,
    namable,
    widened,
)
from medallion_jobs.autoloader.schemas.hints import apply, split
from medallion_jobs.errors import UsageError

INT, LONG, TEXT, DOUBLE = IntegerType(), LongType(), StringType(), DoubleType()


def struct(**fields: DataType) -> StructType:
    return StructType([StructField(name, kind) for name, kind in fields.items()])


def named(*names: str) -> StructType:
    return struct(**dict.fromkeys(names, TEXT))


@pytest.mark.parametrize("name", ["a", "a.b", "größe", "a-b", "1", "`", "a'b", "a\rb", "_rescued"])
def test_names_that_a_table_can_have(name: str) -> None:
    assert namable(name)


@pytest.mark.parametrize("name", ["", *(f"a{c}b" for c in " ,;{}()\n\t="), " a", "a\n"])
def test_names_that_a_table_cannot_have(name: str) -> None:
    assert not namable(name)
    assert merge(named("x"), named(name, "y")) == named("x", "y")


def test_new_columns_come_at_the_end_in_their_order() -> None:
    assert merge(named("b", "a"), named("z", "a", "c")) == named("b", "a", "z", "c")
    assert merge(StructType(), named("z", "a")) == named("z", "a")
    assert merge(named("a"), StructType()) == named("a")


def test_inner_fields_are_added_in_place_at_every_depth() -> None:
    def schema(*names: str) -> StructType:
        inner = named(*names)
        return struct(
            s=struct(t=inner),
            a=ArrayType(ArrayType(inner)),
            m=MapType(TEXT, ArrayType(inner)),
            last=TEXT,
        )

    assert merge(schema("x", "y"), schema("w", "y")) == schema("x", "y", "w")


def test_types_that_are_there_stay() -> None:
    current = struct(a=INT, b=TEXT, c=struct(d=INT), e=ArrayType(INT))
    for other in (TEXT, LONG, struct(x=INT), ArrayType(TEXT), MapType(TEXT, TEXT), NullType()):
        assert merge(current, struct(**dict.fromkeys("abce", other))).names == list("abce")
        seen = merge(current, struct(**dict.fromkeys("ab", other)))
        assert seen == current
    assert merge(current, struct(c=TEXT, e=INT)) == current


def test_another_letter_case_is_no_new_column() -> None:
    current = struct(Id=INT, s=struct(inner=INT))
    seen = struct(id=LONG, ID=LONG, S=TEXT, s=struct(INNER=INT))
    assert merge(current, seen) == widened(current, seen) == current
    # Of two new ones the first is taken.
    assert merge(struct(a=INT), struct(New=TEXT, new=INT)) == struct(a=INT, New=TEXT)
    assert merge(struct(a=INT), struct(n=named("X", "x", "y"))) == struct(a=INT, n=named("X", "y"))


def test_what_has_no_type_yet_is_not_added() -> None:
    nothing = struct(
        a=NullType(),
        b=StructType(),
        c=ArrayType(NullType()),
        d=MapType(TEXT, StructType()),
        e=struct(f=struct(g=NullType())),
        f=named("no name"),
        g=DayTimeIntervalType(),
        h=ArrayType(YearMonthIntervalType()),
        i=struct(t=TimeType()),
    )
    assert merge(named("x"), nothing) == named("x")
    seen = struct(s=struct(a=NullType(), b=INT, **{"c d": INT}), t=ArrayType(struct(x=INT)))
    assert merge(named("x"), seen) == struct(x=TEXT, s=struct(b=INT), t=seen["t"].dataType)


def test_reserved_names_are_those_of_columns_only() -> None:
    seen = struct(_rescued_data=TEXT, _INPUT_FILE=TEXT, s=named("_rescued_data"))
    reserved = ("_rescued_data", "_input_file")
    for grow in (merge, widened):
        assert grow(struct(s=named("a")), seen, reserved=reserved) == struct(
            s=named("a", "_rescued_data")
        )


def test_new_columns_are_nullable_throughout_and_old_ones_as_they_were() -> None:
    strict = StructType([StructField("n", INT, nullable=False, metadata={"comment": "x"})])
    seen = StructType(
        [
            *strict.fields,
            StructField("new", ArrayType(strict, containsNull=False), nullable=False),
            StructField("m", MapType(TEXT, INT, valueContainsNull=False)),
        ]
    )
    got = merge(strict, seen)
    assert got["n"] == strict["n"]
    assert got["new"] == StructField("new", ArrayType(struct(n=INT)))
    assert got["m"] == StructField("m", MapType(TEXT, INT))


WIDER: list[tuple[DataType, DataType]] = [
    (ByteType(), ShortType()),
    (ByteType(), LONG),
    (ShortType(), INT),
    (INT, LONG),
    (ByteType(), DOUBLE),
    (INT, DOUBLE),
    (FloatType(), DOUBLE),
    (INT, DecimalType(10, 0)),
    (ByteType(), DecimalType(12, 2)),
    (LONG, DecimalType(20, 0)),
    (LONG, DecimalType(38, 18)),
    (DecimalType(10, 2), DecimalType(11, 2)),
    (DecimalType(10, 2), DecimalType(12, 4)),
    (DateType(), TimestampNTZType()),
]
NOT_WIDER: list[tuple[DataType, DataType]] = [
    *((wide, narrow) for narrow, wide in WIDER),
    (INT, INT),
    (LONG, DOUBLE),
    (LONG, FloatType()),
    (INT, FloatType()),
    (INT, TEXT),
    (INT, DecimalType(9, 0)),
    (INT, DecimalType(11, 2)),
    (LONG, DecimalType(19, 0)),
    (LONG, DecimalType(20, 1)),
    (DOUBLE, DecimalType(38, 10)),
    (DecimalType(10, 2), DecimalType(10, 2)),
    (DecimalType(10, 2), DecimalType(11, 4)),
    (DecimalType(10, 2), DecimalType(12, 1)),
    (DecimalType(5, 0), LONG),
    (DateType(), TimestampType()),
    (TimestampNTZType(), TimestampType()),
    (BooleanType(), INT),
    (TEXT, NullType()),
]


def wrapped(kind: DataType) -> StructType:
    return struct(
        top=kind,
        s=struct(x=kind),
        a=ArrayType(struct(x=kind)),
        b=ArrayType(kind),
        m=MapType(kind, kind),
    )


@pytest.mark.parametrize(("narrow", "wide"), WIDER, ids=str)
def test_wider_types_are_taken_everywhere(narrow: DataType, wide: DataType) -> None:
    assert is_wider(narrow, wide)
    assert widened(wrapped(narrow), wrapped(wide)) == wrapped(wide)
    assert merge(wrapped(narrow), wrapped(wide)) == wrapped(narrow)


@pytest.mark.parametrize(("has", "seen"), NOT_WIDER, ids=str)
def test_other_types_are_not(has: DataType, seen: DataType) -> None:
    assert not is_wider(has, seen)
    assert widened(wrapped(has), wrapped(seen)) == wrapped(has)


def test_widened_adds_columns_too_and_keeps_the_rest_of_a_column() -> None:
    current = StructType([StructField("n", INT, nullable=False, metadata={"k": 1})])
    got = widened(current, struct(n=LONG, new=TEXT))
    assert got["n"] == StructField("n", LONG, nullable=False, metadata={"k": 1})
    assert got.names == ["n", "new"]


def test_alterations_add_in_one_commit_and_widen_in_another() -> None:
    table = struct(
        id=INT, s=struct(a=INT), l=ArrayType(struct(x=INT)), m=MapType(INT, struct(v=INT))
    )
    wanted = struct(
        id=LONG,
        s=struct(a=INT, **{"b.`c": struct(**{"select": ArrayType(LONG)})}),
        l=ArrayType(struct(x=LONG, y=DecimalType(10, 2))),
        m=MapType(LONG, struct(v=INT, w=TEXT)),
        top=MapType(TEXT, INT),
    )
    assert alterations(table, wanted) == [
        "ADD COLUMNS (`s`.`b.``c` struct<`select`: array<bigint>>, "
        "`l`.element.`y` decimal(10,2), `m`.value.`w` string, `top` map<string, int>)",
        "ALTER COLUMN `id` TYPE bigint, `l`.element.`x` TYPE bigint, `m`.key TYPE bigint",
    ]


def test_the_first_timestamp_without_a_zone_needs_a_feature_of_the_table() -> None:
    ntz = TimestampNTZType()
    feature = "SET TBLPROPERTIES ('delta.feature.timestampNtz' = 'supported')"
    table = struct(day=DateType())
    assert alterations(table, struct(day=ntz)) == [feature, "ALTER COLUMN `day` TYPE timestamp_ntz"]
    inner = struct(x=ArrayType(struct(t=ntz)))
    assert alterations(table, inner)[0] == feature
    assert alterations(inner, inner) == []
    only_called_so = struct(timestamp_ntz=TEXT)
    assert alterations(only_called_so, struct(m=MapType(TEXT, ntz)))[0] == feature
    assert alterations(struct(a=INT), only_called_so) == ["ADD COLUMNS (`timestamp_ntz` string)"]
    assert alterations(inner, struct(t=ntz)) == ["ADD COLUMNS (`t` timestamp_ntz)"]


def test_a_table_that_has_more_or_wider_columns_is_not_altered() -> None:
    table = struct(id=LONG, s=struct(a=DOUBLE, b=INT), _rescued_data=TEXT)
    assert alterations(table, table) == []
    assert alterations(table, struct(s=struct(a=INT), id=INT)) == []


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (struct(id=TEXT), ["`id`", "int", "string"]),
        (struct(s=struct(a=struct(x=INT))), ["`s`.`a`", "int", "struct<`x`: int>"]),
        (struct(s=ArrayType(INT)), ["`s`", "struct<a:int>", "array<int>"]),
        (struct(ID=INT), ["`ID`", "`id`", "letter case"]),
    ],
)
def test_what_a_table_cannot_become_is_told(wanted: StructType, told: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        alterations(struct(id=INT, s=struct(a=INT)), wanted)
    assert all(word in error.value.what for word in told)


# Hints


@pytest.mark.parametrize(
    ("ddl", "hints"),
    [
        ("a int", [("a", "int")]),
        (" a.b.c\tint ,\n d : decimal(10, 2) ", [("a", "b", "c", "int"), ("d", "decimal(10, 2)")]),
        ("a:int,b  :  string", [("a", "int"), ("b", "string")]),
        ("i.element.p map<string,struct<x: int, y: int>>, k.key date", None),
        ("`a,b`.`c.d` int", [("a,b", "c.d", "int")]),
        ("`a``b (`.größe int", [("a`b (", "größe", "int")]),
        ("a string comment 'x, y', b int", [("a", "string comment 'x, y'"), ("b", "int")]),
        ("a struct<`x>,`: int>, b int", [("a", "struct<`x>,`: int>"), ("b", "int")]),
        ("a timestamp with local time zone", [("a", "timestamp with local time zone")]),
    ],
)
def test_hints_are_split(ddl: str, hints: list[tuple[str, ...]] | None) -> None:
    if hints is None:
        hints = [("i", "element", "p", "map<string,struct<x: int, y: int>>"), ("k", "key", "date")]
    assert [(*hint.path, hint.type_text) for hint in split(ddl)] == hints


@pytest.mark.parametrize(
    "ddl", ["", "a", "a int,", ",a int", "a int,, b int", "a. int", ".a int", "a..b int", "`a int"]
)
def test_a_hint_is_a_path_and_a_type(ddl: str) -> None:
    with pytest.raises(UsageError, match="schema_hints"):
        split(ddl)


def test_a_path_is_hinted_once() -> None:
    with pytest.raises(UsageError, match=r"a\.b: this path has more than one hint"):
        split("a.b int, c int, `a`.`b` string")
    assert len(split("a.b int, `a.b` int")) == 2


INFERRED = struct(
    id=TEXT,
    customer=struct(name=TEXT, address=struct(zip=TEXT)),
    items=ArrayType(struct(price=TEXT, key=TEXT)),
    tags=MapType(TEXT, TEXT),
)


def hinted(schema: StructType, **hints: DataType) -> StructType:
    """Hints by their paths, with `__` for the dot."""
    return apply(schema, {tuple(path.split("__")): kind for path, kind in hints.items()})


def test_hints_set_types_in_place() -> None:
    got = hinted(
        INFERRED,
        customer__address__zip=INT,
        items__element__price=DecimalType(10, 2),
        items__element__key=LONG,
        tags__key=INT,
        tags__value=DOUBLE,
        id=LONG,
    )
    assert got == struct(
        id=LONG,
        customer=struct(name=TEXT, address=struct(zip=INT)),
        items=ArrayType(struct(price=DecimalType(10, 2), key=LONG)),
        tags=MapType(INT, DOUBLE),
    )
    assert apply(INFERRED, {}) == INFERRED


def test_hints_add_what_is_missing() -> None:
    base = struct(id=TEXT, customer=struct(name=TEXT))
    got = hinted(
        base,
        customer__address__zip=INT,
        customer__address__city=TEXT,
        value=DOUBLE,
    )
    assert got == struct(
        id=TEXT,
        customer=struct(name=TEXT, address=struct(zip=INT, city=TEXT)),
        value=DOUBLE,
    )


WORDS = ("element", "key", "value")


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    ("base", "above"),
    [
        (struct(id=TEXT), "m"),
        (struct(id=TEXT), "m__n"),
        (struct(id=TEXT, m=struct(a=TEXT)), "m__n"),
        (struct(m=ArrayType(struct(a=TEXT))), "m__element__n"),
        (struct(m=MapType(TEXT, struct(a=TEXT))), "m__value__n"),
    ],
)
def test_a_hint_waits_for_what_only_files_can_tell(base: StructType, above: str, word: str) -> None:
    """What has no kind yet may be an array, a map or an object with a field of this name."""
    assert hinted(base, **{f"{above}__{word}": INT, f"{above}__{word}__x": INT}) == base


@pytest.mark.parametrize("word", WORDS)
def test_in_an_object_the_three_words_are_names_of_fields(word: str) -> None:
    other = struct(unit=TEXT)
    for base in (other, struct(**{"unit": TEXT, word: TEXT})):
        wanted = struct(**{"unit": TEXT, word: DOUBLE})
        assert hinted(struct(m=base), **{f"m__{word}": DOUBLE}) == struct(m=wanted)
        for wrap, path in (
            (lambda kind: struct(n=kind), "n"),
            (ArrayType, "element"),
            (lambda kind: MapType(TEXT, kind), "value"),
        ):
            got = hinted(struct(m=wrap(base)), **{f"m__{path}__{word}": DOUBLE})
            assert got == struct(m=wrap(wanted))
    # An object below the word, too.
    got = hinted(struct(m=other), **{f"m__{word}__n": INT})
    assert got == struct(m=struct(**{"unit": TEXT, word: struct(n=INT)}))


def test_a_hint_that_waits_is_applied_once_another_makes_the_object() -> None:
    made = struct(m=struct(unit=TEXT, value=DOUBLE))
    for hints in ({"m__value": DOUBLE, "m__unit": TEXT}, {"m__unit": TEXT, "m__value": DOUBLE}):
        assert hinted(StructType(), **hints) == made
    whole: dict[str, Any] = {"m__value": DOUBLE, "m": MapType(TEXT, TEXT)}
    assert hinted(StructType(), **whole) == struct(m=MapType(TEXT, DOUBLE))


def test_what_a_hint_made_before_stays_a_map() -> None:
    """Of version 0.1.0: a table has the column, and its type cannot change any more."""
    old = struct(metric=MapType(TEXT, DOUBLE), n=ArrayType(MapType(TEXT, struct(i=INT))))
    hints: dict[str, Any] = {"metric__value": DOUBLE, "n__element__value__i": INT}
    assert hinted(old, **hints) == old
    seen = struct(metric=struct(unit=TEXT, value=DOUBLE), n=ArrayType(struct(value=struct(i=INT))))
    assert hinted(merge(old, seen), **hints) == old


def test_a_hint_for_a_whole_column_replaces_it() -> None:
    got = hinted(INFERRED, customer=MapType(TEXT, TEXT), items=TEXT)
    assert got["customer"].dataType == MapType(TEXT, TEXT)
    assert got["items"].dataType == TEXT
    # In whatever order they are written.
    for hints in ({"a__y": INT, "a": struct(x=TEXT)}, {"a": struct(x=TEXT), "a__y": INT}):
        assert hinted(struct(a=TEXT), **hints) == struct(a=struct(x=TEXT, y=INT))


def test_hints_leave_nullability_alone() -> None:
    strict = StructType([StructField("a", ArrayType(TEXT, containsNull=False), nullable=False)])
    kept = StructType([StructField("a", ArrayType(INT, containsNull=False), nullable=False)])
    assert hinted(strict, a__element=INT) == kept


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("id__inner", "id is string, which has no inner in it"),
        ("customer__name__first", "customer.name is string"),
        ("items__price", "items is array<"),
        ("items__value", "its elements are items.element"),
        ("items__key__x", "items is array<"),
        ("tags__element", "tags is map<"),
        ("tags__value__x", "tags.value is string"),
        ("Customer__name", "there is customer, of another letter case"),
        ("customer__Name", "there is name, of another letter case"),
        ("a b", "a table can have no column `a b`"),
        ("customer__a=b", "a table can have no column `a=b`"),
    ],
)
def test_a_hint_that_contradicts_is_named(path: str, why: str) -> None:
    with pytest.raises(UsageError) as told:
        hinted(INFERRED, **{path: INT})
    assert why in told.value.what
    parts = [f"`{p}`" if " " in p or "=" in p else p for p in path.split("__")]
    assert f"schema_hints: {'.'.join(parts)} int:" in told.value.what
    assert told.value.next_step


def test_hints_that_contradict_each_other_are_told_in_any_order() -> None:
    for hints in ({"a__y": INT, "a": TEXT}, {"a": TEXT, "a__y": INT}):
        with pytest.raises(UsageError, match=r"a\.y int"):
            hinted(StructType(), **hints)


def test_hints_and_growth_go_together() -> None:
    """Applied to what each batch brings, a hint never adds its column twice."""
    hints: dict[str, Any] = {"customer__address__zip": INT, "items__element__price": DOUBLE}
    first = hinted(INFERRED, **hints)
    brought = hinted(struct(id=TEXT, customer=struct(vip=TEXT), new=TEXT), **hints)
    assert merge(first, first) == first
    assert merge(first, brought) == struct(
        id=TEXT,
        customer=struct(name=TEXT, address=struct(zip=INT), vip=TEXT),
        items=ArrayType(struct(price=DOUBLE, key=TEXT)),
        tags=MapType(TEXT, TEXT),
        new=TEXT,
    )
