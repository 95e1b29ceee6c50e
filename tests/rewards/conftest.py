"""Tiny reward models with random weights, and a server that misbehaves as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,?!:\n'"
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<|user|>", "<|assistant|>"]
CHAT = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>"
    "{{ message['content'] }}{{ eos_token }}{% endfor %}"
)


def letter_tokenizer(*, chat_template: str | None = CHAT, pad_token: str | None = "<pad>") -> Any:
    """One token a letter; puts BOS before every text that it is asked to add special tokens to."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: place for place, token in enumerate([*SPECIAL, *LETTERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token=pad_token,
        additional_special_tokens=["<|user|>", "<|assistant|>"],
        model_max_length=512,
    )
    fast.chat_template = chat_template
    return fast


def save_llama(folder: Path, *, tokenizer: Any = None, seed: int = 0, **config: Any) -> Path:
    """A random Llama sequence classifier; weights large enough that scores differ."""
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(seed)
    made = LlamaConfig(
        **{
            "vocab_size": len(SPECIAL) + len(LETTERS),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "initializer_range": 0.3,
            "num_labels": 1,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 3,
            **config,
        }
    )
    LlamaForSequenceClassification(made).save_pretrained(folder)
    (tokenizer or letter_tokenizer()).save_pretrained(folder)
    return folder


def save_bert(folder: Path, *, seed: int = 0, **config: Any) -> Path:
    """A random BERT sequence classifier that reads text pairs, with a word tokenizer."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    torch.manual_seed(seed)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    made = BertConfig(
        **{
            "vocab_size": len(words),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 64,
            "initializer_range": 0.3,
            "num_labels": 1,
            **config,
        }
    )
    BertForSequenceClassification(made).save_pretrained(folder)
    tokenizer = BertTokenizer(vocab={word: place for place, word in enumerate(words)})
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def make_llama() -> Callable[..., Path]:
    return save_llama


@pytest.fixture
def make_bert() -> Callable[..., Path]:
    return save_bert


@pytest.fixture
def make_tokenizer() -> Callable[..., Any]:
    return letter_tokenizer


class Request(NamedTuple):
    """What the misbehaving server was asked."""

    path: str
    headers: dict[str, str]
    json: Any


class Reply(NamedTuple):
    """What it is to answer; a hanging reply sends nothing, a broken one closes at once."""

    body: bytes = b"{}"
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[str, ...] = ()
    hangs: bool = False
    breaks: bool = False


def scores(*values: Any, **more: Any) -> Reply:
    """A good answer, if the values are good."""
    return Reply(json.dumps({"scores": list(values), **more}).encode())


class Server(NamedTuple):
    url: str
    port: int
    seen: list[Request]


@asynccontextmanager
async def _serve(answer: Callable[[Request, int], Reply]) -> AsyncIterator[Server]:
    seen: list[Request] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                pairs = (line.split(": ", 1) for line in head[1:] if line)
                headers = {key.lower(): value for key, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                request = Request(head[0].split(" ")[1], headers, json.loads(body or b"null"))
                seen.append(request)
                reply = answer(request, len(seen))
                if reply.hangs:
                    await reader.read()  # until the client gives up
                if reply.hangs or reply.breaks:
                    return
                lines = [
                    f"HTTP/1.1 {reply.status} X",
                    f"content-type: {reply.content_type}",
                    f"content-length: {len(reply.body)}",
                    *reply.headers,
                ]
                writer.write("\r\n".join([*lines, "", ""]).encode() + reply.body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Server(f"http://127.0.0.1:{port}", port, seen)


@pytest.fixture
def serve() -> Callable[..., Any]:
    """serve(answer) -> async context manager of a Server; answer(request, its number) -> Reply."""
    return _serve


@pytest.fixture
def reply() -> type[Reply]:
    return Reply


@pytest.fixture
def good() -> Callable[..., Reply]:
    return scores
