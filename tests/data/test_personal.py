"""Personal data: real checksums found, wrong ones and look-alikes left alone, nothing shown."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest

from seedbed.data.personal import KINDS, excerpt, find, redact, worth_a_look

FOUND = {
    "email": ["jane.doe+shop@mail.example.co.uk", "a@b.io", "JOSÉ_99@example-site.com"],
    "iban": ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "FR14 2004 1010 0505 0001 3M02 606",
             "ES9121000418450200051332", "NL91ABNA0417164300"],
    "it_codice_fiscale": ["RSSMRA85T10A562S"],
    "cn_resident_id": ["11010519491231002X"],
    "card": ["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005", "3782 822463 10005",
             "6011111111111117"],
    "fr_nir": ["2 95 10 99 126 111 93", "295109912611193"],
    "ch_ahv": ["756.9217.0769.85"],
    "mx_curp": ["BOXW310820HNERXN09"],
    "es_dni": ["12345678Z", "54362315-K", "54.362.315-K"],
    "es_nie": ["X1234567L", "X-2482300-W"],
    "fi_hetu": ["131052-308T"],
    "br_cpf": ["390.533.447-05", "CPF 39053344705"],
    "be_nn": ["85.07.30-033.28"],
    "se_personnummer": ["880320-0016"],
    "us_ssn": ["536-90-4399", "my SSN is 536 90 4399"],
    "in_aadhaar": ["2341 2341 2346", "Aadhaar: 234123412346"],
    "nl_bsn": ["1112.22.333", "BSN 111222333"],
    "pl_pesel": ["PESEL: 44051401359"],
    "pt_nif": ["NIF 501 964 843", "contribuinte nº 501964843"],
    "gb_nhs": ["NHS number: 943 476 5919", "nhs no 9434765919"],
    "de_steuer_id": ["Steuer-ID 36 574 261 809", "IdNr. 36574261809"],
    "phone": ["+34 612 345 678", "+44 20 7946 0958", "(555) 123-4567", "212-555-4567", "06 12 34 56 78",
              "004712345678",
              "020 7946 0958", "call me at 2125554567", "电话13800138000", "Tel.: 030 / 1234567"],
}
"""By kind: published examples and test numbers, none of a living person."""

WRONG_CHECKSUM = {
    "iban": "GB82 WEST 1234 5698 7654 33", "it_codice_fiscale": "RSSMRA85T10A562T",
    "cn_resident_id": "110105194912310021",
    "card": "4111 1111 1111 1112", "fr_nir": "2 95 10 99 126 111 94", "ch_ahv": "756.9217.0769.84",
    "mx_curp": "BOXW310820HNERXN08", "es_dni": "12345678A", "es_nie": "X1234567M", "fi_hetu": "131052-308U",
    "br_cpf": "390.533.447-06", "be_nn": "85.07.30-033.29", "se_personnummer": "880320-0017", "us_ssn": "666-90-4399",
    "in_aadhaar": "2341 2341 2347", "nl_bsn": "BSN 111222334", "pl_pesel": "PESEL: 44051401358",
    "pt_nif": "NIF 501 964 842", "gb_nhs": "NHS number: 943 476 5918", "de_steuer_id": "Steuer-ID 36 574 261 808",
}

NOT_PERSONAL = [
    "order 1234567890 of 2024-01-15 10:30", "01-02-2024 10:30:22", "from 100-200 to 300", "3.14159265358979",
    "call 911", "version 1.2.3.4567", "it cost 1 234 567", "$1,234,567.89", "user@host", "@handle 12345678",
    "100mg 200mg 300 400 mg", "ISBN 978-3-16-148410-0", "12345678901234567890", "ip 192.168.100.200",
    "lot 000000000000", "doi 10.1000/182.123456", "44051401359", "111222333", "39053344705", "501964843",
    "1Z999AA10123456784", "0000 0000 0000 0000", "12.05.2021 12:30",
    "the years 1990-2000 and 2010-2020", "serial AB123456C789", "call me after 2024-01-15", "a@b", "x" * 50,
    "customer 0012345678", "2023-2024-2025", "icon@2x.png",
]


def test_every_kind_has_examples() -> None:
    assert set(FOUND) == {kind.name for kind in KINDS}


@pytest.mark.parametrize(("kind", "example"), [(k, e) for k, examples in FOUND.items() for e in examples])
def test_found_and_masked_whole(kind: str, example: str) -> None:
    text = f"Please note: {example}, thank you."
    found = find(text)
    assert [one.kind.name for one in found] == [kind]
    masked = redact(text)
    assert f"[{kind.upper()}]" in masked
    hidden = text[found[0].start:found[0].end]
    assert hidden not in masked
    assert masked.startswith("Please note: ")
    assert masked.endswith(", thank you.")
    assert sum(c.isdigit() for c in masked) == 0


@pytest.mark.parametrize(("kind", "example"), WRONG_CHECKSUM.items())
def test_a_wrong_checksum_is_not_that_number(kind: str, example: str) -> None:
    assert kind not in [one.kind.name for one in find(f"note {example} here")]


@pytest.mark.parametrize("text", NOT_PERSONAL)
def test_look_alikes_are_left_alone(text: str) -> None:
    assert redact(text) == text


def test_few_random_numbers_are_taken_for_personal_data() -> None:
    import numpy as np

    random = np.random.default_rng(0)
    for digits, most in ((8, 0), (9, 0), (10, 0), (11, 0), (12, 2), (16, 30)):
        numbers = [f"ref {n}" for n in random.integers(10**(digits - 1), 10**digits, 500)]
        assert sum(bool(find(n)) for n in numbers) <= most, digits


def test_counts_and_numbered_placeholders() -> None:
    counts: Counter[str] = Counter()
    numbers: dict[str, int] = {}
    text = "a@x.com and b@x.com, again A@X.COM, card 4111 1111 1111 1111 or 4111-1111-1111-1111"
    assert redact(text, counts, numbers) == "[EMAIL-1] and [EMAIL-2], again [EMAIL-1], card [CARD-3] or [CARD-3]"
    assert counts == {"email": 3, "card": 2}


def test_redacting_twice_changes_nothing() -> None:
    once = redact("write to a@x.com or +34 612 345 678")
    assert redact(once) == once == "write to [EMAIL] or [PHONE]"


def test_the_quick_test_misses_nothing() -> None:
    examples = [example for some in FOUND.values() for example in some]
    assert worth_a_look(pa.array(examples)).tolist() == list(range(len(examples)))


@pytest.mark.parametrize("filler", ["word ", "1 ", "12345 ", "@ "])
def test_an_excerpt_never_shows_what_it_is_about(filler: str) -> None:
    secret = "jane.doe@example.com"
    text = filler * 400 + secret + " " + filler * 400
    shown = excerpt(text, text.index(secret))
    assert "[EMAIL]" in shown
    assert "jane" not in shown and "example" not in shown
    assert len(shown) <= 90
    assert shown.startswith("… ") and shown.endswith(" …")
    assert excerpt("short\n text") == "short text"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", ["a" * 300_000 + "1", "1" * 300_000 + "@", "1 " * 150_000, "+1 (2)" * 50_000,
                                  "a@a." * 75_000, "tel " * 75_000, "a@b.co " * 40_000])
def test_hostile_texts_take_linear_time(text: str) -> None:
    find(text)
