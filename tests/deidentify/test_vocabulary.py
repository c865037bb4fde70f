"""The vocabulary as data: its files say where they come from, and frequent names are in it only where the notes say so."""

from __future__ import annotations

from importlib.resources import files

from gateway.deidentify.vocabulary import load_vocabulary, parse_words
from gateway.deidentify.wordlike import Kind, kind_of, sort_words

FOLDER = files("gateway.deidentify").joinpath("words")
WORDS = sort_words(load_vocabulary())

NAMES = """
smith johnson williams jones miller davis garcia rodriguez martinez hernandez lopez gonzalez anderson thomas taylor moore
jackson martin lee perez thompson harris sanchez clark ramirez lewis robinson walker allen wright scott torres nguyen flores
adams nelson baker rivera campbell mitchell carter roberts gomez phillips evans turner diaz parker cruz edwards collins reyes
stewart morris morales murphy rogers gutierrez ortiz morgan cooper peterson bailey kelly howard ramos cox richardson watson
brooks chavez bennett mendoza hughes alvarez castillo sanders patel myers ross foster jimenez powell jenkins perry russell
sullivan coleman butler henderson barnes fisher vasquez simmons romero jordan patterson alexander hamilton graham reynolds
griffin wallace moreno cole hayes bryant herrera gibson ellis tran medina aguilar stevens murray ford castro marshall owens
harrison fernandez mcdonald washington kennedy vargas henry freeman webb tucker guzman burns crawford olson simpson porter
hunter gordon mendez silva shaw snyder mason dixon munoz hunt hicks holmes palmer wagner robertson caldwell miranda chambers
weaver mills müller schmidt schneider fischer weber meyer becker schulz hoffmann schäfer koch bauer richter klein wolf
schröder neumann schwarz zimmermann braun krüger hofmann hartmann lange schmitt werner schmitz krause meier lehmann schmid
schulze maier köhler herrmann walter könig mayer huber kaiser fuchs peters lang scholz möller weiß jung hahn schubert vogel
friedrich keller günther frank berger winkler roth beck lorenz baumann franke albrecht schuster simon ludwig böhm winter
kraus martin schumacher krämer vogt stein jäger otto sommer gross seidel heinrich brandt haas schreiber graf schulte dietrich
ziegler kuhn kühn pohl engel horn busch bergmann thomas voigt sauer arnold wolff pfeiffer dubois durand leroy moreau laurent
lefebvre michel bertrand roux vincent fournier morel girard andré lefèvre mercier dupont lambert bonnet françois martinez
rossi russo ferrari esposito bianchi romano colombo ricci marino greco bruno gallo conti jansen devries bakker visser smit
meijer mulder james mary robert patricia john jennifer michael linda david elizabeth william barbara richard susan joseph
jessica thomas sarah charles karen christopher lisa daniel nancy matthew betty anthony sandra mark margaret donald ashley
steven kimberly andrew emily paul donna joshua michelle kenneth carol kevin amanda brian melissa george deborah timothy
stephanie ronald rebecca jason laura edward sharon jeffrey cynthia ryan kathleen jacob amy gary angela nicholas shirley eric
brenda jonathan emma stephen anna larry pamela justin nicole scott samantha brandon katherine benjamin christine samuel helen
gregory debra alexander rachel patrick carolyn frank janet raymond maria jack heather dennis diane jerry julie tyler joyce
aaron victoria jose ruth adam virginia nathan lauren henry kelly peter hans klaus jürgen wolfgang günter ursula helga renate
monika ingrid karin petra sabine heike claudia stefan andreas matthias pierre jean jacques françoise monique giuseppe
giovanni francesca carmen josé juan luis ana
""".casefold().split()

EXCEPTIONS = frozenset(("allen", "dixon", "gross", "horn", "klein"))
"""Frequent names that are everyday or clinical words of a language, too; a patient's own name goes all the same."""


def test_frequent_names_are_in_no_form_a_word_to_keep() -> None:
    assert len(set(NAMES)) > 400
    kept = {name for name in NAMES if kind_of(name.title(), WORDS) is not Kind.UNKNOWN}
    assert kept <= EXCEPTIONS, len(kept - EXCEPTIONS)


def test_every_file_says_where_it_comes_from() -> None:
    names = sorted(file.name for file in FOLDER.iterdir() if file.name.endswith(".txt"))
    assert {"clinical.txt", "dicom.txt", "general.txt", "german.txt", "imaging.txt", "protocol.txt", "shy.txt"} <= set(
        names
    )
    for name in names:
        head = [line for line in FOLDER.joinpath(name).read_text("utf-8").splitlines() if line.startswith("#")]
        assert any(word in " ".join(head) for word in ("Apache-2.0", "MIT", "licence of SCOWL")), name


def test_entries_are_casefolded_and_marks_are_known() -> None:
    assert list(parse_words("# Head\nGray_Matter  rose?\nbr# Hepato+")) == ["gray matter", "rose?", "br#", "hepato+"]
    assert len(load_vocabulary()) > 20000
    assert kind_of("rose", WORDS) is Kind.SHY and kind_of("Rose", WORDS) is Kind.UNKNOWN
    assert kind_of("GERD", WORDS) is Kind.SHY and kind_of("Gerd", WORDS) is Kind.UNKNOWN
    assert kind_of("Br40", WORDS) is Kind.LOOSE and kind_of("Br", WORDS) is Kind.UNKNOWN


def test_numbers_of_somebody_are_no_measurements() -> None:
    for loose in ("5", "120", "120kV", "1500ms", "b1000", "T2", "C6", "B31f", "512x512", "2x3", "3mm", "1024"):
        assert kind_of(loose, WORDS) in (Kind.LOOSE, Kind.LISTED), loose
    for unknown in (
        "1947",
        "A123456",
        "QX12",
        "Q123",
        "20200131",
        "12345x678",
        "x" * 60,
        "٣٤",
        "é",
        "K1234",
        "1234Z",
        "7Q8J9K",
    ):
        assert kind_of(unknown, WORDS) is Kind.UNKNOWN, unknown


def test_compounds_and_joined_words() -> None:
    for word in ("AbdomenRoutine", "ThoraxRoutine", "Lungenarterienembolie", "hepatosplenomegaly", "Schädelaufnahme"):
        assert kind_of(word, WORDS) is Kind.LISTED, word
    for word in ("ThoraxGruber", "DeYoung", "Herzberg", "Steinherz", "Kopfmann", "McChest"):
        assert kind_of(word, WORDS) is Kind.UNKNOWN, word
