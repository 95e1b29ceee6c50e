"""The golden texts of a probe: conversations with a good, a bad and an off-topic answer each."""

from __future__ import annotations

from typing import Literal, NamedTuple

Turns = list[dict[str, str]]
Kind = Literal["good", "off-topic", "bad"]
KINDS: tuple[Kind, ...] = ("good", "off-topic", "bad")

OVER_LONG = 20_000  # characters


class Item(NamedTuple):
    """A response to be scored. ``name``: of its conversation, ``kind``: of the response."""

    name: str
    conversation: Turns
    kind: str
    response: str


class Golden(NamedTuple):
    """A conversation and its answers; ``off_topic`` is a fair answer to another question."""

    name: str
    conversation: Turns
    good: str
    off_topic: str
    bad: str

    def item(self, kind: Kind) -> Item:
        text = {"good": self.good, "off-topic": self.off_topic, "bad": self.bad}[kind]
        return Item(self.name, self.conversation, kind, text)


def _user(text: str) -> Turns:
    return [{"role": "user", "content": text}]


_STORY = (
    "We run a small bakery with four people. The oven is from 1998, and for about three months the loaves "
    "on its left side have come out darker than those on the right. Rosa turns the trays halfway through, "
    "which helps, but then the door stands open for a minute and the temperature falls by almost thirty "
    "degrees. In March a technician cleaned the burner and changed the door's seal. He said that the fan "
    "on the right side sounds rough, but that it turns. Since then we have noted the temperature every ten "
    "minutes: 231 on the left, 214 on the right, on average, when the display says 225. The flour is the "
    "same as last year, the recipe too, and the proofing cabinet was replaced in January by a new one that "
    "holds its humidity well. A new oven costs more than we can pay this year. The landlord allows no work "
    "on the chimney before summer. Our busiest days are Friday and Saturday, so that a repair would have to "
    "happen between Sunday noon and Tuesday morning. "
)

GOLDEN: tuple[Golden, ...] = (
    Golden(
        "short",
        _user("How do I keep basil alive on a kitchen windowsill?"),
        "Give it at least six hours of light, water it when the top of the soil feels dry, and let the pot "
        "drain. Pinch off the tips every week so that it grows bushy, and cut the flower buds.",
        "The train to the airport leaves every twenty minutes from platform four, and the ride takes about "
        "half an hour.",
        "Basil is a plant. Plants are hard. You should just buy a new one.",
    ),
    Golden(
        "several turns",
        [
            {"role": "user", "content": "I have 12 eggs and use 5 for a cake. How many are left?"},
            {"role": "assistant", "content": "Seven eggs are left."},
            {
                "role": "user",
                "content": "And if I drop two of those, how many omelettes of two eggs?",
            },
        ],
        "After dropping two you have five eggs, which is enough for two omelettes of two eggs each, with "
        "one egg left over.",
        "For a good night's sleep, keep the room dark and cool, and put your phone away an hour before bed.",
        "Nine omelettes, because twelve minus three is nine.",
    ),
    Golden(
        "system turn",
        [
            {
                "role": "system",
                "content": "You are a polite librarian. Answer in one or two sentences.",
            },
            {"role": "user", "content": "Can I borrow a book without a library card?"},
        ],
        "I am sorry, you need a card to take a book home, but you are welcome to read here, and a card takes "
        "only a few minutes to make if you have an ID with you.",
        "Whisk two eggs with a pinch of salt, pour them into a hot buttered pan, and fold the omelette when "
        "its edges set.",
        "No. Read the rules before you ask.",
    ),
    Golden(
        "Unicode",
        _user("Wie sagt man „Guten Morgen“ auf Japanisch, und wie schreibt man es? 🙂"),
        "Man sagt „Ohayō gozaimasu“ (unter Freunden nur „Ohayō“) und schreibt es おはようございます.",
        "Der Motor wird zu heiß, wenn das Kühlwasser fehlt: prüfen Sie zuerst den Behälter. 🚗",
        "Das weiß ich nicht… ¯\\_(ツ)_/¯",
    ),
    Golden(
        "long",
        _user(
            _STORY
            + "What would you check first, and what can we do until summer without a new oven?"
        ),
        "Check the fan on the right first: the left side is 17 degrees hotter, and a fan with a worn bearing "
        "moves too little air. Have it measured and changed on a Sunday afternoon, which costs far less than "
        "an oven. Until then bake two thirds of a load with the left rack empty or shielded, set the oven "
        "ten degrees lower and bake a little longer, and turn the trays once, quickly, near the end.",
        "Lisbon is best seen in spring or in autumn. Take the tram early in the morning, walk through the old "
        "town, and keep an evening for the river and the music.",
        "Just get a new oven. Everything else is a waste of time.",
    ),
)

_SENTENCES = (
    "Water the pot in the morning, when the soil is dry to the first knuckle.",
    "Turn it by a quarter every few days, so that it does not lean to the light.",
    "In winter it wants less water and no cold draught from the window.",
    "A clay pot with a hole at its bottom forgives more than a glazed one.",
)
_END = (
    "Last of all, pinch off the tips once a week and cut the flower buds, so that it grows bushy."
)
_OTHER_END = "At last the shop on the corner sells red bicycles!"  # shorter, for rewards of length


def ordinary() -> list[Item]:
    """All golden items, the good answers to all conversations first."""
    return [golden.item(kind) for kind in KINDS for golden in GOLDEN]


def empty() -> list[Item]:
    """Responses with nothing in them."""
    conversation = GOLDEN[0].conversation
    return [
        Item("empty response", conversation, "empty", ""),
        Item("blank response", conversation, "empty", " \n"),
    ]


def over_long() -> tuple[Item, Item, Item]:
    """A response, the same with another end, and a prompt, each of ``OVER_LONG`` characters or so."""
    short = GOLDEN[0]
    head = _filled(OVER_LONG - len(_END))
    question = _user(_filled(OVER_LONG) + " " + short.conversation[0]["content"])
    return (
        Item("over-long response", short.conversation, "over-long", head + _END),
        Item("over-long response, other end", short.conversation, "over-long", head + _OTHER_END),
        Item("over-long prompt", question, "over-long", short.good),
    )


def spaced() -> tuple[list[Item], list[Item]]:
    """Good answers to a few conversations, and the same with spaces or line breaks behind."""
    plain, other = [], []
    for golden in GOLDEN[:3]:
        for behind in (" ", "\n\n"):
            item = golden.item("good")
            plain.append(item)
            other.append(item._replace(response=item.response + behind))
    return plain, other


def marked() -> tuple[list[Item], list[Item]]:
    """Good answers and then as many off-topic ones, and the same where the turns carry a chat template's
    markers as text."""
    chosen = (GOLDEN[0], GOLDEN[1], GOLDEN[4])
    plain = [golden.item("good") for golden in chosen]
    plain += [golden.item("off-topic") for golden in chosen]
    other = [
        item._replace(
            conversation=[
                {**turn, "content": _in_markers(turn["role"], turn["content"])}
                for turn in item.conversation
            ],
            response=_in_markers("assistant", item.response),
        )
        for item in plain
    ]
    return plain, other


def _in_markers(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}<|im_end|>"


def _filled(length: int) -> str:
    """Plain sentences of at most so many characters, a space behind."""
    text = ""
    place = 0
    while len(text) + len(sentence := f"{place + 1}. {_SENTENCES[place % 4]} ") <= length:
        text += sentence
        place += 1
    return text
