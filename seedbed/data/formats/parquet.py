"""Parquet. Class names that the Hugging Face datasets library writes beside integer labels are put back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import DataError
from ..tally import Tally
from .dialect import unique_names
from .source import CHUNK, Chunk, Source


def read_parquet(source: Source, tally: Tally) -> Iterator[Chunk]:
    """The rows of a Parquet file; its lines are row numbers.

    Raises:
        DataError: the file is damaged.
    """
    row = 1
    try:
        with source.whole() as raw:
            file = pq.ParquetFile(raw)
            names = _class_names(file.schema_arrow)
            for batch in file.iter_batches(CHUNK):
                table = pa.Table.from_batches([batch])
                table = table.rename_columns(unique_names(table.column_names))
                for at, field in enumerate(table.schema):
                    if classes := names.get(field.name):
                        tally.detect("class names", f"{field.name}: from the file's metadata")
                        words = [classes[i] if i is not None and 0 <= i < len(classes) else None
                                 for i in table.column(at).to_pylist()]
                        table = table.set_column(at, field.name, pa.array(words, pa.large_string()))
                    elif pa.types.is_string_view(field.type):  # what polars writes; Arrow cannot take rows of it
                        table = table.set_column(at, field.name, table.column(at).cast(pa.large_string()))
                yield Chunk(table, range(row, row + len(table)))
                row += len(table)
    except (pa.ArrowException, OSError) as problem:
        raise DataError(f"{source.name} cannot be read as Parquet: {problem}",
                        "Copy or download the file again; it may be cut off.") from None


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Names of the classes of integer columns, as the datasets library notes them in the schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {str(column): [str(n) for n in feature["names"]] for column, feature in features.items()
                if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and column in schema.names}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}
