"""docs/changes.md, made of the cases that tests run: a config, and what becomes of each change.

cd tests && ../.venv/bin/python -m support.changes > ../docs/changes.md
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from textwrap import dedent

BASE = dedent("""\
    pipeline: plans
    bronze:
      plan_orders:
        source:
          format: json
          schema: id string, customer string, amount decimal(10,2), qty int, at timestamp
      plan_customers:
        source: {format: json, schema: "customer string, region string, since timestamp"}
      plan_events:
        source: {format: json, schema_hints: "id string, n bigint"}
    silver:
      plan_customers:
        from: bronze.plan_customers
        write: upsert
        keys: customer
        sequence: since
      plan_orders:
        from: bronze.plan_orders
        where: qty > 0
        lookups:
          - {table: silver.plan_customers, on: customer, take: region}
        columns:
          total: amount * qty
          day: to_date(at)
        expect:
          has_customer: {not_null: customer, otherwise: quarantine}
          is_small: {check: total < 1000, otherwise: warn}
        select: [id, customer, region, total, day]
      plan_typed:
        from: bronze.plan_orders
        schema: id string, qty int
      plan_events:
        from: bronze.plan_events
        dedupe: {keys: id}
    gold:
      plan_regions:
        from: silver.plan_orders
        where: total > 0
        group_by: [region]
        measures:
          revenue: sum(total)
          orders: count(*)
        columns:
          mean: revenue / orders
      plan_days:
        from: silver.plan_orders
        group_by: [day]
        measures: {revenue: sum(total)}
        mode: incremental
    """)


# The first words of commands; what starts with another word is advice.
COMMANDS = ("rebuild", "drop", "checkpoint")


@dataclass(frozen=True)
class Case:
    """A change of the config, and what becomes of it.

    Attributes:
        change: as the page names it.
        happens: what a run does, for the page.
        edits: text of `BASE`, and what stands there now.
        table: the table that the change is about.
        state: what the plan says of that table.
        exit_code: of `medallion plan`.
        part: a part of the logic that the plan names as changed.
        code: of the refusal.
        command: what the plan says to type; `TABLE` stands for the table.
        old_rows: whether rows of the table keep the older logic.
        late_code: of the refusal that only Spark can find, by the types of expressions.
    """

    change: str
    happens: str
    edits: tuple[tuple[str, str], ...]
    table: str
    state: str
    exit_code: int = 0
    part: str = ""
    code: str = ""
    command: str = ""
    old_rows: bool = False
    late_code: str = ""

    @property
    def config(self) -> str:
        text = BASE
        for old, new in self.edits:
            assert text.count(old) == 1, (self.change, old, text.count(old))
            text = text.replace(old, new)
        return text


def _kept(change: str, happens: str, table: str, part: str, *edits: tuple[str, str]) -> Case:
    """A change after which older rows keep the older logic."""
    more = "" if table in ("silver.plan_events", "silver.plan_typed") else " --downstream"
    command = "checkpoint reset TABLE" if table.startswith("bronze") else f"rebuild TABLE{more}"
    return Case(change, happens, edits, table, "changed", 1, part, "", command, old_rows=True)


def _free(change: str, happens: str, table: str, part: str, *edits: tuple[str, str]) -> Case:
    """A change that makes no difference to rows that are there."""
    return Case(change, happens, edits, table, "changed", 0, part)


def _refused(
    change: str, happens: str, table: str, code: str, command: str, *edits: tuple[str, str]
) -> Case:
    return Case(change, happens, edits, table, "refused", 2, "", code, command)


def _same(change: str, happens: str, *edits: tuple[str, str]) -> Case:
    return Case(change, happens, edits, "silver.plan_orders", "unchanged")


ORDERS, CUSTOMERS, TYPED = "silver.plan_orders", "silver.plan_customers", "silver.plan_typed"
REGIONS, DAYS = "gold.plan_regions", "gold.plan_days"
_TAKEN_ALONG = "rows from the next batch on get it; older rows keep the old logic"
_IN_STATE = "refused: the running values of its groups fit only the old logic"
_KEYED = "refused: its rows were written by the old one"
_COMMAND = "rebuild TABLE"
_BACK = "change it back"

SILVER = (
    _kept(
        "an expression in `columns`",
        _TAKEN_ALONG,
        ORDERS,
        "columns.total",
        ("total: amount * qty", "total: amount * abs(qty)"),
    ),
    replace(
        _kept(
            "an expression in `columns` that gives another type",
            "refused at the start, by Spark; `validate` finds it, `plan` needs no Spark and cannot",
            ORDERS,
            "columns.total",
            ("total: amount * qty", "total: amount * qty * 0.5"),
        ),
        late_code="column_types_changed",
    ),
    _kept("`where`", _TAKEN_ALONG, ORDERS, "where", ("where: qty > 0", "where: qty > 1")),
    _kept(
        "a column added to `columns` and `select`",
        "rows from the next batch on get it; it is null in older rows",
        ORDERS,
        "columns.double",
        ("day: to_date(at)", "day: to_date(at)\n      double: qty * 2"),
        ("total, day]", "total, day, double]"),
    ),
    _refused(
        "a column removed from `select`",
        "refused: the table has the column",
        ORDERS,
        "columns_left_config",
        f"{_COMMAND} --downstream",
        ("[id, customer, region, total, day]", "[id, region, total, day]"),
    ),
    _refused(
        "a column renamed in `columns` and `select`",
        "refused, and so are tables that read the old name",
        ORDERS,
        "columns_left_config",
        f"{_COMMAND} --downstream",
        ("total: amount * qty", "value: amount * qty"),
        ("check: total < 1000", "check: value < 1000"),
        ("region, total, day]", "region, value, day]"),
    ),
    _refused(
        "a column of a source renamed that an expression still reads",
        "refused: the source does not have it any more",
        REGIONS,
        "reads_removed_column",
        "change the expression",
        ("total: amount * qty", "value: amount * qty"),
        ("check: total < 1000", "check: value < 1000"),
        ("region, total, day]", "region, value, day]"),
    ),
    _refused(
        "another type in `schema`",
        "refused: the table has the column with the old type",
        TYPED,
        "columns_differ",
        _COMMAND,
        ("schema: id string, qty int\n", "schema: id string, qty bigint\n"),
    ),
    _kept(
        "a `cast` added",
        _TAKEN_ALONG,
        "silver.plan_events",
        "cast.n",
        ("dedupe: {keys: id}", "dedupe: {keys: id}\n    cast: {n: {to: bigint, default: 0}}"),
    ),
    _kept(
        "a lookup added",
        _TAKEN_ALONG,
        TYPED,
        "lookups[silver.plan_customers]",
        (
            "schema: id string, qty int\n",
            "schema: id string, qty int, region string\n    lookups:\n"
            "      - {table: silver.plan_customers, on: customer, take: region}\n",
        ),
    ),
    _kept(
        "what a lookup takes, or its keys",
        _TAKEN_ALONG,
        ORDERS,
        "lookups[silver.plan_customers].take.region",
        ("take: region}", "take: {region: customer}}"),
    ),
    _refused(
        "a column of another type in `take`, or another type in `cast`",
        "refused: the table has the column with the old type",
        ORDERS,
        "column_types_changed",
        f"{_COMMAND} --downstream",
        ("take: region}", "take: {region: since}}"),
    ),
    _free(
        "`max_age`, `when_stale` or `hold_for` of a lookup",
        "holds from the next batch on; it decides no value",
        ORDERS,
        "lookups[silver.plan_customers].max_age",
        ("take: region}", "take: region, max_age: 2d}"),
    ),
    _refused(
        "a lookup of a table that is not there",
        "refused: there is no such dimension",
        ORDERS,
        "dimension_missing",
        "create it, or change the lookup",
        (
            "take: region}\n",
            "take: region}\n      - {table: silver.plan_rates, on: customer, take: rate}\n",
        ),
    ),
    _refused(
        "a lookup of a column that its dimension does not have",
        "refused",
        ORDERS,
        "dimension_column_missing",
        "change the lookup",
        ("take: region}", "take: [region, country]}"),
    ),
    _free(
        "an expectation that warns added or changed",
        "holds from the next batch on; it decides no row",
        ORDERS,
        "expect.is_small.check",
        ("check: total < 1000", "check: total < 500"),
    ),
    _kept(
        "`otherwise` of an expectation, such as from `warn` to `quarantine`",
        "holds from the next batch on; older rows stay, though they may break it",
        ORDERS,
        "expect.is_small.otherwise",
        ("check: total < 1000, otherwise: warn", "check: total < 1000, otherwise: quarantine"),
    ),
    _kept(
        "the check of an expectation that quarantines, drops or fails",
        "the same",
        ORDERS,
        "expect.has_customer.not_null",
        ("{not_null: customer, ", "{not_null: [customer, id], "),
    ),
    _kept(
        "`dedupe`",
        "holds from the next batch on; duplicates that are there stay",
        "silver.plan_events",
        "dedupe.keys",
        ("dedupe: {keys: id}", "dedupe: {keys: [id, n]}"),
    ),
    _refused(
        "`keys`, or another key of `write`, `apply_changes` or `snapshot`",
        _KEYED,
        CUSTOMERS,
        "logic_changed",
        _COMMAND,
        ("keys: customer\n", "keys: [customer, region]\n"),
    ),
    _refused(
        "`write`",
        _KEYED,
        CUSTOMERS,
        "logic_changed",
        _COMMAND,
        ("write: upsert", "write: scd2"),
    ),
    _refused(
        "`from`",
        "refused: its position in the old source means nothing in the new one",
        TYPED,
        "source_changed",
        _COMMAND,
        (
            "plan_typed:\n    from: bronze.plan_orders\n    schema: id string, qty int\n",
            "plan_typed:\n    from: bronze.plan_events\n"
            "    columns: {qty: int(n)}\n    schema: id string, qty int\n",
        ),
    ),
    _free(
        "`on_all_aside`",
        "holds from the next batch on",
        ORDERS,
        "on_all_aside",
        ("where: qty > 0", "on_all_aside: fail\n    where: qty > 0"),
    ),
    _free(
        "`on_source_change`",
        "holds from the next start on",
        ORDERS,
        "on_source_change",
        ("where: qty > 0", "on_source_change: keep\n    where: qty > 0"),
    ),
)

GOLD = (
    _refused(
        "a measure added",
        _IN_STATE,
        REGIONS,
        "logic_changed",
        _COMMAND,
        ("orders: count(*)", "orders: count(*)\n      largest: max(total)"),
    ),
    _refused(
        "a measure changed",
        _IN_STATE,
        REGIONS,
        "logic_changed",
        _COMMAND,
        ("      revenue: sum(total)", "      revenue: max(total)"),
    ),
    _refused(
        "a measure removed",
        _IN_STATE,
        REGIONS,
        "logic_changed",
        _COMMAND,
        ("      orders: count(*)\n    columns:\n      mean: revenue / orders\n", ""),
    ),
    _refused(
        "`group_by` or `period`",
        _IN_STATE,
        REGIONS,
        "logic_changed",
        _COMMAND,
        ("group_by: [region]", "group_by: [region, day]"),
    ),
    _refused(
        "`where` of gold",
        _IN_STATE,
        REGIONS,
        "logic_changed",
        _COMMAND,
        ("where: total > 0", "where: total > 1"),
    ),
    _refused(
        "`columns` of gold",
        "refused: rows are only written again where a group changes",
        REGIONS,
        "logic_changed",
        _COMMAND,
        ("mean: revenue / orders", "mean: revenue / orders * 100"),
    ),
    _refused(
        "`mode`",
        _IN_STATE,
        DAYS,
        "logic_changed",
        _COMMAND,
        ("mode: incremental", "mode: complete"),
    ),
    _free(
        "a sink added, changed or removed",
        "the whole table is loaded into it at the next start",
        DAYS,
        "sinks.warehouse",
        (
            "mode: incremental",
            'mode: incremental\n    sinks: [{jdbc: {url: "jdbc:postgresql://db/x"}}]',
        ),
    ),
)

BRONZE = (
    _refused(
        "the folder (`path`, `landing.root`)",
        "refused: files of a moved folder would be loaded again, under other paths",
        "bronze.plan_orders",
        "source_changed",
        "move it back; for other files, `checkpoint reset TABLE`",
        (
            "      format: json\n      schema: id",
            "      format: json\n      path: ./other\n      schema: id",
        ),
    ),
    _kept(
        "`options` of the reader, or `format`",
        "files from the next batch on are read so; rows that are there stay; "
        "the command reads files again that gave no row",
        "bronze.plan_orders",
        "options.multiLine",
        (
            "      format: json\n      schema: id",
            "      format: json\n      options: {multiLine: true}\n      schema: id",
        ),
    ),
    _kept(
        "a column added to `schema`",
        "files from the next batch on fill it; it is null in older rows",
        "bronze.plan_orders",
        "schema",
        ("qty int, at timestamp", "qty int, at timestamp, note string"),
    ),
    _refused(
        "a column removed from `schema`, or renamed",
        "refused: the table has the column, and rows of bronze are not written again",
        "bronze.plan_orders",
        "columns_left_config",
        "keep the column; or load into another lake",
        ("qty int, at timestamp", "quantity int, at timestamp"),
    ),
    _refused(
        "another type in `schema`",
        "refused, unless the table has a wider type already",
        "bronze.plan_orders",
        "column_types_changed",
        "keep the type, and cast it in silver; or load into another lake",
        ("amount decimal(10,2), qty", "amount string, qty"),
    ),
    _refused(
        "another type in `schema_hints`",
        "the same",
        "bronze.plan_events",
        "column_types_changed",
        "keep the type, and cast it in silver; or load into another lake",
        ("id string, n bigint", "id string, n string"),
    ),
    _free(
        "`schema_evolution`",
        "holds for new columns in files to come",
        "bronze.plan_events",
        "schema_evolution",
        ("{format: json, schema_hints", "{format: json, schema_evolution: rescue, schema_hints"),
    ),
    _free(
        "limits of a batch, `clean_source`, how files are found",
        "holds from the next start on",
        "bronze.plan_events",
        "max_files_per_trigger",
        ("{format: json, schema_hints", "{format: json, max_files_per_trigger: 7, schema_hints"),
    ),
)

_ADDED = """\
  plan_more:
    from: bronze.plan_orders
    where: qty > 5
"""
_CUSTOMERS = BASE[
    BASE.index("  plan_customers:\n    from") : BASE.index("  plan_orders:\n    from")
]
_DAYS = BASE[BASE.index("  plan_days:") :]

TABLES = (
    Case(
        "a table added",
        "it is computed from the start of its source",
        (("gold:\n", f"{_ADDED}gold:\n"),),
        "silver.plan_more",
        "added",
    ),
    Case(
        "a table removed",
        "nothing writes it; it stays, and answers queries",
        ((_DAYS, ""),),
        DAYS,
        "removed",
        1,
        command="drop TABLE --yes",
    ),
    Case(
        "a table removed that a lookup still reads",
        "nothing writes it; lookups go on with the rows that it has",
        ((_CUSTOMERS, ""),),
        CUSTOMERS,
        "removed",
        1,
        command="put it back, or change the lookups",
    ),
    Case(
        "a table renamed",
        "it is computed again under the new name; the old table stays",
        (("plan_days:", "plan_dates:"),),
        "gold.plan_dates",
        "renamed",
        1,
        command=f"drop {DAYS} --yes",
    ),
    Case(
        "a table renamed, and one that reads it, too",
        "both are computed again under their new names; the old tables stay",
        (
            ("  plan_orders:\n    from:", "  plan_sales:\n    from:"),
            (
                "  plan_regions:\n    from: silver.plan_orders",
                "  plan_areas:\n    from: silver.plan_sales",
            ),
            (_DAYS, ""),
        ),
        "gold.plan_areas",
        "renamed",
        1,
        command=f"drop {REGIONS} --yes",
    ),
    Case(
        "a table renamed that others read",
        "the same, and those that read it are refused, as after another `from`",
        (
            ("  plan_orders:\n    from:", "  plan_sales:\n    from:"),
            (
                "plan_regions:\n    from: silver.plan_orders",
                "plan_regions:\n    from: silver.plan_sales",
            ),
            ("plan_days:\n    from: silver.plan_orders", "plan_days:\n    from: silver.plan_sales"),
        ),
        REGIONS,
        "refused",
        2,
        code="source_changed",
        command=_COMMAND,
    ),
    _refused(
        "`partition_by`",
        "refused: it is fixed when a table is created",
        DAYS,
        "layout_differs",
        _COMMAND,
        ("mode: incremental", "mode: incremental\n    layout: {partition_by: [day]}"),
    ),
    _free(
        "`cluster_by`, comments, properties, file size of a `layout`",
        "set at the next start; OPTIMIZE then clusters rows",
        DAYS,
        "layout.comment",
        (
            "mode: incremental",
            "mode: incremental\n    layout: {comment: By day, cluster_by: [day]}",
        ),
    ),
    _refused(
        "the pipeline's name",
        "refused: under this `storage.root`, the tables belong to the pipeline of the old name",
        ORDERS,
        "table_of_another_pipeline",
        f"{_BACK}; or take another `storage.root`",
        ("pipeline: plans", "pipeline: other_plans"),
    ),
    Case(
        "`storage.root`",
        "a new lake: everything is read again; the old one stays as it is",
        (("pipeline: plans\n", "pipeline: plans\n# another lake\n"),),
        ORDERS,
        "added",
    ),
    _same(
        "`trigger`, `spark`, `queries`",
        "nothing; they hold from the next start on",
        (
            "pipeline: plans\n",
            "pipeline: plans\ntrigger: {interval: 30s}\nqueries: {q: SELECT 1}\n",
        ),
    ),
    _same(
        "order of keys, white space, letter case of SQL, a default written out",
        "nothing",
        (
            "      total: amount * qty\n      day: to_date(at)\n",
            "      day: TO_DATE( at )\n      total: amount  *  QTY\n",
        ),
        ("where: qty > 0", "on_rescued: quarantine\n    where: 'qty>0'"),
    ),
)

GROUPS = {"Bronze": BRONZE, "Silver": SILVER, "Gold": GOLD, "Tables and the pipeline": TABLES}
CASES = tuple(case for group in GROUPS.values() for case in group)

_HEAD = """\
# After a change of the config

What a changed config does to the tables that are there, and how to see it before it happens.

```console
$ medallion plan        # what a run would do, table by table; needs no JVM
$ medallion plan --json # the same for a program
$ medallion validate    # what a run would refuse, and then every SQL expression, checked by Spark
```

`medallion plan` holds the config against what the tables were made by. For each table it says
whether it is added, unchanged, changed (with the old and the new text of each key), renamed,
removed or refused (with the reason); which rows keep an older logic; which tables read them; what
a rebuild would read; and the command to type. It writes nothing. `medallion run` accepts what is
not refused, with the same words.

| exit code | meaning |
|---|---|
| 0 | nothing to do besides a run |
| 1 | rows would keep an older logic, or a table stays that the config does not name |
| 2 | a run would be refused |

So [CI](ci.md) can hold back a change that would leave old rows: `medallion plan` with
`--set storage.root=…` of the lake in question.

**Rows keep the logic that they were computed by.** A changed expression holds from the next batch
on. The manifest of the query keeps from which batch on, so `medallion plan`, and one line of
`medallion status`, go on to name the older rows until the table is computed again. If the
expression is changed back, the rows between are the older ones. A table without a row has none.

The time of a rebuild is that of the largest of its last 50 batches, for as many rows as its
source has.

## What happens at which change

The commands are those of `medallion`; `TABLE` is the changed table. If others read it,
`--downstream` computes them again, too; the plan has the whole command. Without `--yes`, a
rebuild, a reset and a drop only show what they would do.
"""
_TAIL = """
Besides:

* New or changed rows of a dimension are no change of the config: rows that were written keep what
  they took; `medallion replay silver --missed-lookup` looks up again what was not found
  ([lookups](lookups.md)).
* Another topic, or other servers, of a [Kafka](kafka.md) source are refused if they are another
  cluster or lack what was read; a topic that is added is read from its beginning.
* A part that an earlier version of the package did not record counts as unchanged once.
* Python code of a `transform` is not compared: after a change of it, rebuild the table.
"""


def page() -> str:
    parts = [_HEAD]
    for title, cases in GROUPS.items():
        parts.append(f"\n### {title}\n\n| change | what a run does | then |\n|---|---|---|\n")
        parts += [f"| {case.change} | {case.happens} | {_command(case)} |\n" for case in cases]
    return "".join([*parts, _TAIL])


def _command(case: Case) -> str:
    if case.command.startswith(COMMANDS):
        reason = "" if case.command.startswith("drop") else ' --reason "…"'
        command = (
            case.command.replace(DAYS, "OLD_TABLE")
            .replace(REGIONS, "OLD_TABLE")
            .replace(" --downstream", "")
        )
        return f"`{command}{reason}`"
    return case.command


if __name__ == "__main__":
    print(page(), end="")
