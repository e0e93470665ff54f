"""Base and adapter of a run, for forms that have them apart."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..export.manifest import Manifest
from ..progress import SILENT, Progress
from .config import RunFolder, TuneConfig, read_config
from .deriving import adapter_link, base_link, card_of

if TYPE_CHECKING:
    from ..export.targets.writers import WriterTarget
    from ..export.writer_reference import Parts

INSTEAD = "Export it merged: --to gguf"


def parts_for(targets: Iterable[WriterTarget], folder: Path, manifest: Manifest,
              progress: Progress = SILENT) -> AbstractContextManager[Parts | None]:
    """`parts_of`, where one of the targets has base and adapter apart; else nothing.

    Raises:
        UserError: as `parts_of`.
    """
    wanted = any(getattr(one, "apart", False) for one in targets)
    return parts_of(folder, manifest, progress) if wanted else nullcontext()


@contextmanager
def parts_of(folder: Path, manifest: Manifest, progress: Progress = SILENT) -> Iterator[Parts]:
    """What the model of a bundle was made of, as long as it is needed. Where weights were at 4 bits in training, the
    base is written anew with those values.

    Raises:
        UserError: it was not made so; the bundle is not in its run; base or adapter are not here, or are others.
    """
    import torch

    from ..catalog.fetch import pull
    from ..export.gguf_adapter import settings_of
    from ..export.writer_reference import Parts, Reference
    from ..models.backbone import Backbone
    from ..models.folder import open_folder
    from ..models.four_bit import unpack
    from ..train.config import TextConfig

    if not manifest.adapter_hash:
        raise UserError("This model was not made of a base and an adapter.", INSTEAD)
    run = RunFolder(folder.parent)
    card = card_of(run, manifest)
    for link in (adapter_link(run, manifest), base_link(card, manifest)):
        if link.made != "same":
            raise UserError(f"The {link.name} that this model was made of is not here: {link.said}.", INSTEAD)
    settings_of(run.adapter)
    assert card is not None
    base = open_folder(pull(card))
    if read_config(run, TuneConfig, TextConfig)[1].method != "qlora":
        yield Parts(base, run.adapter, Reference.open(base))
        return
    progress.note("The base is written with the values at 4 bits that the adapter was trained on.")
    with tempfile.TemporaryDirectory() as place:
        backbone = Backbone.open(base, dtype=torch.float32, vocabulary=True, nf4=True)
        unpack(backbone.root, {})
        backbone.save(Path(place))
        del backbone
        yield Parts(Path(place), run.adapter, Reference.open(Path(place)))
