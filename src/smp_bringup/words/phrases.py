"""Other ways to say what demonstrations show (config/phrases/*.yaml): {sentence: [paraphrases]}."""

from collections.abc import Mapping, Sequence

from smp_bringup import config
from smp_bringup.documents import shown
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.paths import named_config
from smp_bringup.words.phrasebook import plain

Phrases = Mapping[str, Sequence[str]]


def load_phrases(name: str) -> Phrases:
    """Return the paraphrases by sentence of config/phrases/NAME.yaml, or of a path to a YAML file; none for "".

    Raises:
        ConfigError: the file is not such a list, or one wording stands for two sentences.
    """
    if not name:
        return {}
    path = named_config("phrases", name)
    found = config.read_yaml(path)
    if not found:
        raise ConfigError(f"{path.name}: it holds no sentence")
    owner: dict[str, str] = {}
    for sentence, others in found.items():
        if not isinstance(others, list) or not all(isinstance(text, str) and plain(text) for text in others):
            raise ConfigError(f"{path.name}: '{one_line(sentence)}' must list other ways to say it, each a text")
        for text in (str(sentence), *others):
            config.require_text(text, f"{path.name}: a way to say '{shown(sentence)}'")
            if owner.setdefault(plain(text), str(sentence)) != str(sentence):
                raise ConfigError(
                    f"{path.name}: '{one_line(text)}' stands for '{one_line(owner[plain(text)])}' and for "
                    f"'{one_line(sentence)}': one wording has one meaning"
                )
    return {str(sentence): tuple(others) for sentence, others in found.items()}


def said_of(sentences: Sequence[str], phrases: Phrases, name: str = "") -> Phrases:
    """Return the paraphrases of each of the sentences of demonstrations; one without an entry stands for itself.

    Raises:
        ConfigError: the file `name` speaks of none of them.
    """
    known = {plain(sentence): tuple(others) for sentence, others in phrases.items()}
    wanted = list(dict.fromkeys(sentences))
    if known and not any(plain(sentence) in known for sentence in wanted):
        shown = ", ".join(f"'{one_line(sentence)}'" for sentence in wanted[:4])
        raise ConfigError(f"phrases '{one_line(name)}' has none of the sentences of the demonstrations: {shown}")
    return {sentence: known.get(plain(sentence), ()) for sentence in wanted}
