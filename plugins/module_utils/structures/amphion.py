"""What the structures of Amphion's models have in common: configurations cut down, and repositories with random weights in a hub's cache."""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..doctor.base import Context, Failed
from ..models import keys
from ..models.kept import Unusable
from . import chinese, tried

STAND_INS = chinese.stand_ins("models/tts/maskgct/g2p/sources")
SAYS, TEXT = "The quick brown fox.", "It works on my machine."
"""What the voice is said to say, and what is spoken."""
VOICE_SECONDS = 2.01
"""Of a voice that is a whole number of frames long upstream makes one semantic code less than acoustic ones, and speaks a frame less for it."""
SMALL = {
    "num_layers": 2,
    "vocos_num_layers": 2,
    "t2s_model.hidden_size": 384,
    "s2a_1layer.hidden_size": 256,
    "s2a_full.hidden_size": 256,
}
"""What a configuration of MaskGCT has in place of 12 to 30 layers and of widths of 1024 and 1536: a quarter of these."""
MASKGCT, VEVO, SEMANTIC = "amphion/MaskGCT", "amphion/Vevo", "facebook/w2v-bert-2.0"
# Of w2v-bert these models take the hidden state 17 (maskgct_utils.py): more layers are not needed, nor the width between them.
_SEMANTIC_LAYERS, _SEMANTIC_WIDTH = 17, 64


def offline(context: Context) -> Path:
    """A folder that this process takes for the cache of a hub, which is out of reach. It is called before huggingface_hub is imported."""
    cache = context.scratch / "hub"
    cache.mkdir()
    os.environ.update(HF_HUB_CACHE=str(cache), HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    return cache


def cut(path: Path, changes: Mapping[str, int]) -> None:
    """Change a configuration (JSON with comments): each number whose dotted name ends so."""
    json5: Any = importlib.import_module("json5")
    settings = json5.loads(path.read_text(encoding="utf-8"))

    def shorten(part: Any, above: str) -> None:
        for name, value in part.items():
            dotted = f"{above}.{name}"
            if isinstance(value, dict):
                shorten(value, dotted)
                continue
            for ending, number in changes.items():
                if dotted.endswith(f".{ending}"):
                    part[name] = number

    shorten(settings, "")
    path.write_text(json.dumps(settings, indent=1), encoding="utf-8")


def save(module: Any) -> Callable[[Path], None]:
    """What writes a module as safetensors; each tensor is cloned, because one that is a view of a larger storage is refused."""

    def write(path: Path) -> None:
        state = {name: value.detach().clone().contiguous() for name, value in module.state_dict().items()}
        importlib.import_module("safetensors.torch").save_file(state, path, metadata={"format": "pt"})

    return write


def seed() -> None:
    """Draw the same from now on."""
    importlib.import_module("torch").manual_seed(0)


def semantic(cache: Path) -> list[Path]:
    """facebook/w2v-bert-2.0, as deep as it is used, and narrow."""
    transformers: Any = importlib.import_module("transformers")
    settings = transformers.Wav2Vec2BertConfig(
        num_hidden_layers=_SEMANTIC_LAYERS, intermediate_size=_SEMANTIC_WIDTH, conv_depthwise_kernel_size=3
    )
    model, made = transformers.Wav2Vec2BertModel(settings), cache.parent / "semantic"
    model.save_pretrained(made)
    transformers.SeamlessM4TFeatureExtractor().save_pretrained(made)
    names = ("model.safetensors", "config.json", "preprocessor_config.json")
    return tried.cached(cache, SEMANTIC, {name: _moved(made / name) for name in names})


def _moved(source: Path) -> Callable[[Path], None]:
    def move(target: Path) -> None:
        shutil.move(source, target)

    return move


def maskgct(cache: Path, config: Any) -> list[Path]:
    """amphion/MaskGCT of a configuration, drawn from seed 0, and the semantic model beside it."""
    import torch

    upstream: Any = importlib.import_module("models.tts.maskgct.maskgct_utils")
    torch.manual_seed(0)
    codec = upstream.build_acoustic_codec(config.acoustic_codec, "cpu")
    made = {
        "t2s_model/model.safetensors": upstream.build_t2s_model(config.t2s_model, "cpu"),
        "s2a_model/s2a_model_1layer/model.safetensors": upstream.build_s2a_model(config.s2a_model.s2a_1layer, "cpu"),
        "s2a_model/s2a_model_full/model.safetensors": upstream.build_s2a_model(config.s2a_model.s2a_full, "cpu"),
        "semantic_codec/model.safetensors": upstream.build_semantic_codec(config.semantic_codec, "cpu"),
        "acoustic_codec/model.safetensors": codec[0],
        "acoustic_codec/model_1.safetensors": codec[1],
    }
    files = tried.cached(cache, MASKGCT, {path: save(module) for path, module in made.items()})
    del made, codec
    gc.collect()
    return [*files, *semantic(cache)]


def refused(file: Path, load: Callable[[Path], Any]) -> str:
    """Load weights that lack one key, which has to be refused; the key.

    Args:
        file: Weights that fit, as safetensors.
        load: Loads a file of that name in another folder.

    Raises:
        Failed: they were loaded.
    """
    torch: Any = importlib.import_module("safetensors.torch")
    state = torch.load_file(file)
    key = max(state, key=lambda name: state[name].numel())
    del state[key]
    folder = Path(tempfile.mkdtemp(prefix="lacking-"))
    try:
        torch.save_file(state, folder / file.name, metadata={"format": "pt"})
        with keys.exact():
            load(folder / file.name)
    except Unusable as problem:
        if key not in str(problem):
            raise Failed(f"weights without {key} are refused for another reason: {problem}") from problem
        return str(key)
    finally:
        shutil.rmtree(folder)
    raise Failed(f"weights without {key} are loaded as if they were whole")


def t2s_forward(model: Any) -> Callable[[str], Any]:
    """A teacher-forced forward of a text-to-semantic network on a device: logits of 40 places behind 12 phones."""
    import torch

    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(1, 40, model.hidden_size, generator=generator)
    phones = torch.randint(0, 1000, (1, 12), generator=generator)

    def forward(device: str) -> Any:
        model.to(device)
        estimated = model.diff_estimator(
            hidden.to(device),
            torch.full((1,), 0.5, device=device),
            torch.ones(1, 40, device=device),
            phone_embedding=model.phone_emb(phones.to(device)),
            phone_mask=torch.ones(1, 12, device=device),
        )
        return model.to_logit(estimated)

    return forward


def t2s_loss(model: Any) -> Callable[[Any], Any]:
    """The cross entropy of the codes that a step of training masks."""
    import torch

    vocabulary = model.cond_codebook_size

    def loss(prepared: Any) -> Any:
        torch.manual_seed(0)
        device = next(prepared.parameters()).device
        codes = torch.randint(0, vocabulary, (2, 60), device=device)
        phones = torch.randint(0, 1000, (2, 12), device=device)
        whole = torch.ones(2, 60, device=device), torch.ones(2, 12, device=device)
        logits, masked, wanted, _, _ = prepared(codes, whole[0], phones, whole[1])
        masked = masked.squeeze(-1).bool()
        return torch.nn.functional.cross_entropy(logits.float()[masked], wanted[masked])

    return loss
