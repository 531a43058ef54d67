"""The signals that rules may use, by level, with what they measure."""

from __future__ import annotations

DOCUMENT = {
    "characters": "characters without line ends",
    "tokens": "tokens: one per ideograph, else words between spaces",
    "words": "tokens that are words written with letters, not ideographs",
    "han_share": "Han characters / tokens",
    "mean_word_length": "characters per word (ideographs are no words); 0 without words",
    "lines": "lines that hold more than space, without code and displayed formulas (fenced by ``` ~~~ $$)",
    "code_lines": "lines of fenced code and displayed formulas / all lines; all other signals leave them out",
    "mean_line_characters": "characters per line",
    "sentences": "sentences",
    "hash_per_token": "# signs / tokens",
    "ellipsis_per_token": "runs of ... or … / tokens",
    "bullet_lines": "lines that start with a bullet / lines",
    "ellipsis_lines": "lines that end in ... or … / lines",
    "alpha_words": "words with a letter / words; 1 without words",
    "stop_words": "different stop words of the document's language",
    "stop_word_share": "stop words of the document's language / tokens",
    "punctuated_lines": "lines that end in punctuation that ends a sentence / lines",
    "short_lines": "lines of at most 30 characters / lines",
    "lines_per_token": "lines / tokens",
    "digit_share": "digits / characters that are neither space nor punctuation",
    "lenticular_share": "characters inside 【】 / characters",
    "punctuation_share": "punctuation / characters",
    "special_share": "characters outside of ASCII, no letter, digit, space, mark, punctuation / characters",
    "replacement_share": "U+FFFD / characters, in code too",
    "curly_share": "{ and } in lines without $ \\ ` / characters",
    "caps_words": "words of two or more capital letters / words",
    "long_lines": "lines of at least 200 characters",
    "duplicate_lines": "lines that repeat an earlier one / lines",
    "duplicate_line_characters": "characters in lines that repeat an earlier one / characters",
    "duplicate_sentences": "sentences that repeat an earlier one / sentences",
    "duplicate_sentence_characters": "characters in sentences that repeat an earlier one / characters",
    **{
        f"top_{n}_gram": f"characters of the most frequent {n}-gram / characters in tokens" for n in (2, 3, 4)
    },
    **{
        f"duplicate_{n}_gram": f"characters in {n}-grams seen before / characters in tokens"
        for n in (5, 6, 7, 8, 9, 10, 13, 16, 20)
    },
    "unique_tokens": "different tokens / tokens",
    "entropy": "unigram entropy of tokens in nats",
}
URL = {
    "url_listed": "1 if the document's URL, its host or a parent domain is in one of filter.url_lists",
    "url_words": "weights of words in the URL's host, and half of those in its path",
}
SCORED = {
    "perplexity": "perplexity that score measured (docs/scoring.md has all four)",
    "quality_score": "how likely a reader would keep the text, 0 to 1",
    "perplexity_line_spread": "standard deviation of the lines' log10 perplexity, weighted by bytes",
    "perplexity_bad_lines": "bytes in lines of a perplexity above the document cut-off / bytes",
}
CLASSIFIER = "classifier_"  # and a name: signals of the classifiers that the step is given
ABOVE = ("document_", "paragraph_")  # and a signal: that of the document or paragraph that a span stands in
EDITED = {
    "left_characters": "characters left after paragraphs and sentences were removed",
    "lost_share": "characters that paragraph and sentence rules removed, no repeats and link definitions, / characters",
}
PARAGRAPH = {
    "characters": "characters of the line",
    "tokens": "tokens of the line",
    "words": "words of the line that are written with letters",
    "upper_share": "capital letters / letters",
    "digit_share": "digits / characters that are no space",
    "content_share": "letters and digits, or ASCII characters if more / characters that are no space",
    "longest_word": "characters of the longest run without space or ideograph",
    "ends_sentence": "1 if the line ends in punctuation that ends a sentence",
    "ends_cut_off": "1 if the line ends in ... or a single … (but not ……)",
    "cut_offs": "three full stops or a single … (but not ……) behind a letter or digit, wherever in the line",
    "cut_offs_per_100": "cut_offs per 100 tokens of the line, of at least 20",
    "repeats_earlier": "1 if an earlier line of the document is the same",
    "tail_run": "lines in the run of lines of at most 15 tokens without a mark at their end, behind the last sentence "
    "of the document, if the line is in it; else 0",
    "wide_gaps": "single spaces between two ideographs or other wide characters of the line",
    "wide_gaps_per_100": "wide_gaps per 100 tokens of the line, of at least 20",
}
SENTENCE = {
    "characters": "characters of the sentence",
    "tokens": "tokens of the sentence",
    "cut_off": "1 if what is left of the document after all other rules ends in the sentence, and it in ... or one …",
    "unfinished": "1 if what is left of the document after all other rules ends in the sentence, and it in a comma, "
    "colon, opening bracket or in no mark that ends a sentence (once per document if it has 5 tokens or more)",
    "repeats_earlier": "1 if an earlier sentence of the document is the same",
    "nearly_repeats": "1 - tokens inserted or removed / tokens of the longer of the sentence and the most similar "
    "earlier one of the document, of 10 to 400 tokens and the same numbers and negations; 0 below 0.85",
}
ENDINGS = ("cut_off", "unfinished")  # judged after all other spans were removed
NO_CONTENT = (
    "repeats_earlier",
    "nearly_repeats",
    "link_definition",
    "tail_run",
)  # what they remove is not counted in lost_share
LEVELS = ("document", "paragraph", "sentence")


def is_optional(signal: str) -> bool:
    """The signal does not come from the span's own text: where it was not measured, its rules do not fire."""
    return signal in URL or signal in SCORED or signal.startswith((CLASSIFIER, *ABOVE))


def signal_names(level: str, measures: list[str]) -> set[str]:
    """All signals of a level; `measures` are the names of word categories and patterns."""
    if level == "document":
        return {
            *DOCUMENT,
            *URL,
            *SCORED,
            *EDITED,
            *(f"{name}_per_1000" for name in measures),
            *(f"{m}_lines" for m in measures),
        }
    own = PARAGRAPH if level == "paragraph" else SENTENCE
    above = {f"document_{name}" for name in signal_names("document", measures) - {*EDITED, *URL, *SCORED}}
    if level == "sentence":
        above |= {
            f"paragraph_{name}" for name in {*PARAGRAPH, *measures, *(f"{m}_per_100" for m in measures)}
        }
    return {*own, *measures, *(f"{name}_per_100" for name in measures), *above}
