"""The catalog: every dataset that dvc.yaml writes, who owns it, what it holds, who reads it.

Nothing here is typed twice. Names, stages and readers come from dvc.yaml, columns from the parquet
files (or the contract, where they are not built), owners and promises from the contract (or
catalog.yaml, where there is none), hashes from dvc.lock. Whatever nobody owns is an error.
"""

import hashlib
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mlkit.governance.blast import add_columns, check_acyclic, lineage_graph
from mlkit.governance.columns import feature_lineage, feature_sets
from mlkit.governance.contract_checks import validate
from mlkit.governance.contracts import Contract, hours, load_contract
from mlkit.governance.table_files import column_types, folded, rows_and_last
from mlkit.lineage import Stage, stages
from mlkit.params import WORLDS, check_keys, check_mapping, nearest, read_yaml, unknown
from mlkit.tasks import TASKS
from mlkit.worlds.people import DAY, START

METADATA = Path(__file__).with_name("catalog.yaml")
CONTRACTS = Path(__file__).with_name("contracts")
WORLD_CALL = re.compile(r"\b(?:make_world|maker)\(\s*[\"'](\w+)[\"']")


class Table(NamedTuple):
    """A table of a dataset; without data all after `columns` are empty.

    `columns`: column, type, tag, meaning; `broken`: the promises that the data does not keep, or
    that its file cannot be read; `unchecked`: promises about other data, which is not here;
    `hours_old`: from the last time in it to the end of its world.
    """

    name: str
    owner: str
    description: str
    contract: str
    columns: pd.DataFrame
    rows: int | None = None
    broken: tuple[str, ...] | None = None
    unchecked: tuple[str, ...] = ()
    last: pd.Timestamp | None = None
    hours_old: float | None = None
    sla_hours: float | None = None

    @property
    def fresh(self) -> bool | None:
        """Whether the promise of freshness is kept; None without promise or data."""
        if self.hours_old is None or self.sla_hours is None:
            return None
        return self.hours_old <= self.sla_hours


class Dataset(NamedTuple):
    """Something that a stage of dvc.yaml writes."""

    name: str
    stage: str
    owner: str
    description: str
    built: bool
    md5: str
    size: int | None
    tables: tuple[Table, ...]
    upstream: tuple[str, ...]
    consumers: tuple[str, ...]

    @property
    def pii(self) -> list[str]:
        """The tags of personal data in any of its tables."""
        return sorted(
            {tag for table in self.tables for text in table.columns["tag"] for tag in text.split()}
        )


def read_metadata(file: Path = METADATA) -> dict[str, Any]:
    """Return owners, descriptions and tags from a catalog.yaml.

    Raises
    ------
    ValueError: not YAML, an unknown or missing key, something else than text; one line
    FileNotFoundError: no such file
    """
    metadata = read_yaml(file)
    check_keys("catalog.yaml", metadata, ["datasets", "contracts", "tables", "pii"])
    for section, block in metadata.items():
        check_mapping(f"catalog.yaml, {section}", block, ["names"])
        for name, entry in block.items():
            if section == "datasets":
                check_keys(f"catalog.yaml, {name}", entry, ["owner", "description"])
            texts = [name, *entry.values()] if section == "datasets" else [name, entry]
            odd = [text for text in texts if not isinstance(text, str)]
            if odd:
                raise ValueError(
                    f"catalog.yaml, {section}, {name}: expected text, came {odd[0]!r}; put it in "
                    "quotes, or write what is missing"
                )
    return metadata


def described(dataset: str, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return owner and description of a dataset.

    Raises
    ------
    ValueError: no entry fits it, or an entry is empty; the message names the dataset
    """
    known = metadata["datasets"]
    pattern = next((name for name in known if fnmatchcase(dataset, name)), None)
    entry = known.get(pattern, {"owner": "", "description": ""})
    word = dataset.split("/")[1] if "/" in dataset else ""
    found = {key: text.strip().replace("{word}", word) for key, text in entry.items()}
    if not all(found.values()):
        raise ValueError(
            f"catalog.yaml, datasets: expected owner and description of {dataset!r}, came nothing"
            f"{nearest(dataset, list(known))}; dvc.yaml writes it, so somebody has to own it"
        )
    return found


def read_contracts(folder: Path = CONTRACTS) -> dict[str, Contract]:
    """Return the contracts of a folder by the name of their table, "world.table"."""
    found = (load_contract(file) for file in sorted(folder.glob("*.yaml")))
    return {contract.id: contract for contract in found}


def catalog(
    root: Path,
    *,
    metadata: Mapping[str, Any] | None = None,
    contracts: Mapping[str, Contract] | None = None,
) -> list[Dataset]:
    """Return every dataset that the dvc.yaml of a project writes, in its order.

    Parameters
    ----------
    root: folder with dvc.yaml, params.yaml, and dvc.lock and data/ as far as they are there
    metadata, contracts: see `read_metadata`, `read_contracts`

    Raises
    ------
    ValueError: a dataset without owner or description, a table described in two places, a dvc.yaml
        that is none, writes nothing or has a cycle
    FileNotFoundError: no dvc.yaml or params.yaml there
    """
    metadata = read_metadata() if metadata is None else metadata
    contracts = read_contracts() if contracts is None else contracts
    known = _Known(root, metadata, contracts)
    check_acyclic(known.graph)
    outs = [out for stage in known.stages for out in stage.outs]
    if not outs:
        raise ValueError(f"{root / 'dvc.yaml'}: expected stages that write something, came none")
    for out in outs:
        described(out, metadata)  # before any data is read
    return [known.dataset(stage, out) for stage in known.stages for out in stage.outs]


class _Known:
    """What is known about a project before its data is looked at."""

    def __init__(
        self, root: Path, metadata: Mapping[str, Any], contracts: Mapping[str, Contract]
    ) -> None:
        twice = sorted(set(metadata["tables"]) & set(contracts))
        if twice:
            raise ValueError(
                f"catalog.yaml, tables: {twice[0]!r} has a contract; expected it to be described "
                "there only; remove it here"
            )
        for name in metadata["contracts"].values():
            if name not in contracts:
                raise ValueError(unknown("catalog.yaml, contracts", name, sorted(contracts)))
        self.root, self.metadata, self.contracts = root, metadata, contracts
        self.worlds = challenge_worlds(root)
        self.stages = stages(root / "dvc.yaml")
        self.graph = lineage_graph(self.stages, readers=readers(root))
        self.days = {name: block["n_days"] for name, block in _worlds(root).items()}
        self.locked = _locked(root / "dvc.lock")
        self.seen: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {}

    def dataset(self, stage: Stage, name: str) -> Dataset:
        """One dataset with its tables."""
        import networkx as nx

        entry, path = described(name, self.metadata), self.root / name
        kinds = nx.get_node_attributes(self.graph, "kind")
        above = [n for n in nx.ancestors(self.graph, name) if kinds[n] == "dataset"]
        return Dataset(
            name=name,
            stage=stage.name,
            **entry,
            built=path.exists(),
            md5=self.locked.get(name, {}).get("md5", ""),
            size=self.locked.get(name, {}).get("size"),
            tables=tuple(self.tables(name, path, entry["owner"])),
            upstream=tuple(sorted(above)),
            consumers=tuple(self.graph.successors(name)),
        )

    def tables(self, dataset: str, path: Path, owner: str) -> list[Table]:
        """The tables of a dataset that is a folder: built ones, or those under contract."""
        world = _world(dataset, self.worlds)
        if Path(dataset).suffix or world not in self.days:
            return []
        files = sorted(path.glob("*.parquet"))
        promised = [name.split(".")[1] for name in self.contracts if name.split(".")[0] == world]
        return [
            self.table(f"{world}.{name}", path / f"{name}.parquet", owner)
            for name in ([file.stem for file in files] or promised)
        ]

    def table(self, name: str, file: Path, owner: str) -> Table:
        """One table: from its contract where there is one, from its file where it is built."""
        contract = self.contracts.get(self.metadata["contracts"].get(name, name))
        texts = self.metadata["tables"]
        pattern = next((key for key in texts if fnmatchcase(name, key)), "")
        said = texts.get(pattern, "") or (_sentence(contract) if contract else "")
        about = Table(
            name=name.split(".")[1],
            owner=contract.owner if contract else owner,
            description=" ".join(said.split()),
            contract=f"{contract.version}, {contract.status}" if contract else "none",
            columns=pd.DataFrame(),
        )
        broken = None
        if file.is_file():
            try:
                return self._built(about, file, contract, world_end(self.days[name.split(".")[0]]))
            except (OSError, ValueError):  # what pyarrow says of a file that is none
                broken = (f"{file.name}: cannot be read as parquet",)
        return about._replace(columns=self.columns({}, contract), broken=broken)

    def _built(
        self, about: Table, file: Path, contract: Contract | None, end: pd.Timestamp
    ) -> Table:
        """A table with what its file says."""
        promise = _freshness(contract) if contract else None
        kept: Any = self.kept(file, contract, end) if contract else {}
        rows, last = rows_and_last(file, promise[0] if promise else None)
        return about._replace(
            columns=self.columns(column_types(file), contract),
            rows=rows,
            last=last,
            hours_old=None if last is None else max((end - last).total_seconds() / 3600, 0.0),
            sla_hours=promise and promise[1],
            **kept,
        )

    def kept(self, file: Path, contract: Contract, end: pd.Timestamp) -> dict[str, tuple[str, ...]]:
        """What a file does not keep, and what was not asked; the same bytes are asked once."""
        key = (contract.id, hashlib.sha256(file.read_bytes()).hexdigest())
        if key not in self.seen:
            found = validate(pd.read_parquet(file), contract, as_of=end)
            names = found["check"] + ": " + found["subject"].astype(str)
            unasked = found["examples"].astype(str).str.startswith("not checked")
            rows = {"broken": found["failed"], "unchecked": unasked}
            self.seen[key] = {name: tuple(names[which]) for name, which in rows.items()}
        return self.seen[key]

    def columns(self, types: Mapping[str, str], contract: Contract | None) -> pd.DataFrame:
        """Column, type, tag and meaning; a long run of like columns is one row."""
        promised = {column.name: column for column in contract.properties} if contract else {}
        tags = self.metadata["pii"]
        rows = [
            (
                name,
                kind,
                " ".join(sorted({*tags.get(name, "").split(), *_tags(promised.get(name))})),
                _meaning(promised[name]) if name in promised else "",
            )
            for name, kind in (types or {n: c.logicalType for n, c in promised.items()}).items()
        ]
        return folded(pd.DataFrame(rows, columns=["column", "type", "tag", "meaning"]))


def _world(dataset: str, worlds: Mapping[str, str]) -> str:
    """The world that a dataset holds (data/world/shop) or was made from (data/skew/broken)."""
    parts = (*dataset.split("/"), "", "", "")
    return parts[2] if parts[1] == "world" else worlds.get(parts[1], "")


def _locked(file: Path) -> dict[str, Any]:
    """What dvc.lock says of each output; nothing where there is no such file."""
    if not file.is_file():
        return {}
    lock = read_yaml(file)
    check_mapping("dvc.lock", lock, ["schema", "stages"])
    outs = [out for stage in lock.get("stages", {}).values() for out in stage.get("outs", [])]
    return {out["path"]: out for out in outs}


def world_end(n_days: int) -> pd.Timestamp:
    """Return the moment at which a world of so many days ends: its now."""
    return pd.Timestamp(START + n_days * DAY, unit="us", tz="UTC")


def challenge_worlds(root: Path) -> dict[str, str]:
    """Return the world of each challenge, as dvc.yaml has it.

    Raises
    ------
    ValueError: dvc.yaml is not YAML, or no mapping with stages
    """
    content = read_yaml(root / "dvc.yaml")
    check_mapping("dvc.yaml", content, ["stages"])
    check_mapping("dvc.yaml, stages", content.get("stages"), ["names of stages"])
    found = {key: value for block in content.get("vars", []) for key, value in block.items()}
    return {word: entry["world"] for word, entry in found.get("challenges", {}).items()}


def _worlds(root: Path) -> dict[str, Any]:
    params = read_yaml(root / "params.yaml")
    return {name: params["worlds"][name] for name in WORLDS}


def readers(root: Path) -> dict[str, list[str]]:
    """Return for each dataset the notebooks and claims that use it.

    A notebook makes a world in memory, from the code and parameters that the stage uses; it is
    found by that call in its source, and files by their name in it. Claims use the world of their
    challenge.
    """
    found: dict[str, list[str]] = {}
    source = root / "notebooks/src"
    outs = [out for stage in stages(root / "dvc.yaml") for out in stage.outs if Path(out).suffix]
    for file in sorted(source.rglob("*.py")):
        name = f"notebooks/{file.relative_to(source).with_suffix('').as_posix()}"
        text = file.read_text(encoding="utf-8")
        made = [f"data/world/{world}" for world in sorted(set(WORLD_CALL.findall(text)))]
        for dataset in [*made, *(out for out in outs if f'"{out}"' in text)]:
            found.setdefault(dataset, []).append(name)
    for word, world in challenge_worlds(root).items():
        if (root / f"claims/{word}.yaml").is_file():
            found.setdefault(f"data/world/{world}", []).append(f"claims/{word}.yaml")
    return found


def project_graph(root: Path, *, metadata: Mapping[str, Any] | None = None) -> Any:
    """Return the lineage graph of a project: stages, datasets, columns, features, consumers.

    Owners are those of the datasets; of a stage, the owner of what it writes; of a notebook, the
    lesson it belongs to; of columns and features, the owner of the contract or of the world.
    """
    metadata = read_metadata() if metadata is None else metadata
    found, contracts = stages(root / "dvc.yaml"), read_contracts()
    made = {Path(out).name for stage in found for out in stage.outs if "/world/" in out}
    columns = {world: feature_lineage(world) for world in feature_sets() if world in made}
    graph = lineage_graph(found, columns=columns, readers=readers(root))
    for world in columns:
        task = TASKS[world]
        graph.add_edge(f"{world}.{task.requests}.{task.label}", f"{world}.model", grain="column")
    for name, contract in contracts.items():
        world = name.split(".")[0]
        if world not in made:
            continue
        names = [f"{name}.{column.name}" for column in contract.properties]
        graph = add_columns(graph, names, dataset=f"data/world/{world}")
    owners = {out: described(out, metadata)["owner"] for stage in found for out in stage.outs}
    owners |= {stage.name: owners[stage.outs[0]] for stage in found if stage.outs}
    for node, known in graph.nodes(data=True):
        known.setdefault("kind", "model" if node.endswith(".model") else "column")
        known["owner"] = owners.get(node) or _owner(node, known["kind"], owners, contracts)
    return graph


def _owner(
    node: str, kind: str, owners: Mapping[str, str], contracts: Mapping[str, Contract]
) -> str:
    if kind in ("consumer", "code"):
        words = {owner for owner in owners.values() if owner.startswith("lesson ")}
        return next((w for w in sorted(words) if w.split()[1] in Path(node).stem), "platform")
    table = node.rpartition(".")[0]
    return (
        contracts[table].owner if table in contracts else owners[f"data/world/{node.split('.')[0]}"]
    )


def _freshness(contract: Contract) -> tuple[str, float] | None:
    for sla in contract.slaProperties:
        if sla.property == "freshness" and sla.element:
            return sla.element, hours(sla)
    return None


def _sentence(contract: Contract) -> str:
    return " ".join((contract.description or contract.tables[0].description).split())


def _tags(column: Any) -> list[str]:
    return column.tags if column else []


def _meaning(column: Any) -> str:
    unit = f" ({column.unit})" if column.unit else ""
    return f"{' '.join(column.description.split())}{unit}".strip()


def summary(datasets: list[Dataset]) -> pd.DataFrame:
    """Return one row per dataset: name, owner, stage, tables, pii, consumers, contract, fresh."""
    return pd.DataFrame(
        [
            {
                "dataset": dataset.name,
                "owner": dataset.owner,
                "stage": dataset.stage,
                "tables": len(dataset.tables),
                "under contract": sum(table.contract != "none" for table in dataset.tables),
                "contracts broken": sum(bool(table.broken) for table in dataset.tables),
                "late": sum(table.fresh is False for table in dataset.tables),
                "pii": ", ".join(dataset.pii),
                "consumers": len(dataset.consumers),
            }
            for dataset in datasets
        ]
    )
