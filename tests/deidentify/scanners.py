"""Headers as scanners write them, with nothing of a patient's in them; and people to put into them, with names that are words."""

from __future__ import annotations

from random import Random

from tests.deidentify.writer import CT, ROOT, Element

MR = b"1.2.840.10008.5.1.4.1.1.4"

FAMILIES = """
Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter Klein Wolf Schröder Neumann
Schwarz Zimmermann Braun Krüger Hofmann Hartmann Lange Schmitt Werner Krause Meier Lehmann Köhler Kopf Sommer Winter Kurz Lang Groß
Smith Jones Taylor Brown Williams Wilson Johnson Davies Robinson Wright Thompson Evans Walker White Roberts Green Hall Wood Jackson
Clarke Hill Moore Ward Turner Carter Young Head Long Short Stone Gray Chambers Bone Hand Foot Marsh Price Field Banks Day Rose Ray
Martin Bernard Thomas Petit Robert Richard Durand Dubois Moreau Laurent Simon Michel Lefebvre Leroy Roux David Bertrand Morel Axial
Yılmaz Kaya Demir Çelik Şahin Yıldız Yıldırım Öztürk Aydın Özdemir Arslan Doğan Kılıç Aslan Çetin Kara Koç Kurt Özkan Şimşek Can Ak
Nowak Kowalski Wiśniewski Wójcik Kowalczyk Kamiński Lewandowski Zieliński Szymański Woźniak Dąbrowski Kozłowski Mazur Król Wróbel
Wang Li Zhang Liu Chen Yang Huang Zhao Wu Zhou Xu Sun Ma Zhu Hu Guo He Lin Gao Luo Tse Ip Ng Lam Cheung Kim Lee Park Choi Nguyen
Tran Spira Philips Canon Fuji Corona Medina Romero Delgado Vega Costa Pinto Rossi Russo Ferrari Bianchi Contra Thorn Angio Abdel
Legrand Masse Mann Roth Linke Rechter Hals Bein Brust Becken Niere Standard Normal Primus Original Max May Seri Ser Body Neck Sax
Siemens
"""
GIVENS = """
Anna Ann Lea Mia Emma Lena Jan Max Paul Leon Tom Tim Ben Uwe Ute Ida Eva Jana Karl Hans Peter Klaus Jürgen Günter Wolfgang Ursula
Helga Renate Monika Karin Sabine Andreas Stefan Mary John James Robert Linda Susan Karen Lisa Nancy Betty Sandra Ashley Kim Dawn May
June April Rose Iris Grace Faith Joy Art Ray Roy Sam Pat Jean Marie Pierre Michel André Philippe Nicole Luc Guy Noël Ali Mehmet Ayşe
Fatma Emine Zeynep Can Deniz Ece Nur Jerzy Piotr Krzysztof Małgorzata Agnieszka Katarzyna Zofia Wei Fang Min Jing Lei Na Xin Hui Bo
Yan Ying Tao Jun Ming Mei Lan Hong Ping Ling Axel Sven Ole Nils Lars Kai Ida Ada Eli Ian Leo Neo Ser Ana Luz Mar Sol Paz Cruz
"""
PLACES = """Klinikum am Steinberg|Universitätsklinikum Nordheim|St. Marien Hospital|General Hospital|Radiology|Praxis Dr. Lang
Hôpital Central|City Medical Center|MRI Center|CT Institut|Radiologie Nord|Head and Neck Clinic|UKN|Spital Oberau|Hospital"""
STATIONS = """
CT1 MR1 CTAWP66017 MRC35132 HOST-7F3 SCANNER STATION1 MEDPC AN_MRC40284 CT01 MRT2 WS5 REVOLUTION INGENIA1 AXIAL
"""

_GEOMETRY = (
    Element(0x00200032, "DS", b"-180.4\\-201.6\\-1342.5"),
    Element(0x00200037, "DS", b"1\\0\\0\\0\\1\\0"),
    Element(0x00201041, "DS", b"-1342.5"),
    Element(0x00280002, "US", b"\1\0"),
    Element(0x00280004, "CS", b"MONOCHROME2"),
    Element(0x00280010, "US", b"\x08\0"),
    Element(0x00280011, "US", b"\x08\0"),
    Element(0x00280030, "DS", b"0.7421875\\0.7421875"),
    Element(0x00280100, "US", b"\x10\0"),
    Element(0x00280101, "US", b"\x0c\0"),
    Element(0x00280102, "US", b"\x0b\0"),
    Element(0x00280103, "US", b"\0\0"),
    Element(0x00281050, "DS", b"50\\-600"),
    Element(0x00281051, "DS", b"350\\1200"),
    Element(0x00281055, "LO", b"WINDOW1\\WINDOW2"),
    Element(0x7FE00010, "OW", bytes(128)),
)


MEANINGS = {b"CT": b"Computed tomography of head, neck and long bones of hand", b"MR": b"MRI of spine"}


def _common(cls: bytes, modality: bytes) -> tuple[Element, ...]:
    code = (
        Element(0x00080100, "SH", b"77477000"),
        Element(0x00080102, "SH", b"SCT"),
        Element(0x00080104, "LO", MEANINGS[modality]),
    )
    return (
        Element(0x00080005, "CS", b"ISO_IR 192"),
        Element(0x00080008, "CS", b"ORIGINAL\\PRIMARY\\AXIAL\\NORM\\DIS2D"),
        Element(0x00080012, "DA", b"20240317"),
        Element(0x00080016, "UI", cls),
        Element(0x00080018, "UI", ROOT + b"1.7.1"),
        Element(0x00080020, "DA", b"20240317"),
        Element(0x00080021, "DA", b"20240317"),
        Element(0x00080022, "DA", b"20240317"),
        Element(0x00080030, "TM", b"101112.123000"),
        Element(0x00080060, "CS", modality),
        Element(0x00081032, "SQ", (code,)),
        Element(0x0020000D, "UI", ROOT + b"2.7"),
        Element(0x0020000E, "UI", ROOT + b"3.7"),
        Element(0x00200011, "IS", b"4"),
        Element(0x00200012, "IS", b"1"),
        Element(0x00200013, "IS", b"17"),
        Element(0x00200052, "UI", ROOT + b"4.7"),
        Element(
            0x00400275,
            "SQ",
            ((Element(0x00400007, "LO", b"Routine exam with contrast"), Element(0x00400008, "SQ", (code,))),),
        ),
        *_GEOMETRY,
    )


HEADERS: tuple[tuple[Element, ...], ...] = (
    (
        *_common(CT, b"CT"),
        Element(0x00080070, "LO", b"SIEMENS"),
        Element(0x00081030, "LO", b"CT Thorax/Abdomen mit KM"),
        Element(0x0008103E, "LO", b"Thorax 1.0 B70f lung, long axis"),
        Element(0x00081090, "LO", b"SOMATOM Definition AS+"),
        Element(0x00180015, "CS", b"CHEST"),
        Element(0x00180022, "CS", b"SPI"),
        Element(0x00180050, "DS", b"1"),
        Element(0x00180060, "DS", b"120"),
        Element(0x00181020, "LO", b"syngo CT 2012B"),
        Element(0x00181030, "LO", b"ThoraxRoutine Adult"),
        Element(0x00181140, "CS", b"CW"),
        Element(0x00181160, "SH", b"WEDGE_2"),
        Element(0x00181210, "SH", b"B70f\\3"),
        Element(0x00185100, "CS", b"HFS"),
        Element(0x00189323, "CS", b"XYZ_EC"),
    ),
    (
        *_common(MR, b"MR"),
        Element(0x00080070, "LO", b"Philips Medical Systems"),
        Element(0x00081030, "LO", b"MRT HWS nativ"),
        Element(0x0008103E, "LO", b"t2_tse_sag_448 neck"),
        Element(0x00081090, "LO", b"Ingenia Ambition X"),
        Element(0x00180015, "CS", b"CSPINE"),
        Element(0x00180020, "CS", b"SE\\IR"),
        Element(0x00180021, "CS", b"SK\\SP\\OSP"),
        Element(0x00180022, "CS", b"PFP\\SAT1\\SAT_GEMS"),
        Element(0x00180023, "CS", b"2D"),
        Element(0x00180024, "SH", b"*tse2d1_15"),
        Element(0x00180080, "DS", b"3500"),
        Element(0x00180081, "DS", b"100.5"),
        Element(0x00180083, "DS", b"2"),
        Element(0x00180085, "SH", b"1H"),
        Element(0x00181020, "LO", b"syngo MR E11"),
        Element(0x00181030, "LO", b"T2 TSE sagittal"),
        Element(0x00181250, "SH", b"HeadNeck_64"),
        Element(0x00181312, "CS", b"ROW"),
        Element(0x00185100, "CS", b"HFS"),
    ),
)


def people(random: Random) -> list[Element]:
    """Patient, staff, place and device of one instance."""

    def name() -> bytes:
        return f"{random.choice(FAMILIES.split())}^{random.choice(GIVENS.split())}".encode()

    def number(*lengths: int) -> bytes:
        return b"%d" % random.randrange(1, 10 ** random.choice(lengths))

    forms = (
        number(3, 4, 5, 6, 7, 8, 10),
        b"P" + number(3, 5),
        b"%07d" % random.randrange(10**6),
        b"MR-" + number(4, 6),
        b"CT" + number(2),
    )
    born = b"%04d%02d%02d" % (random.randrange(1930, 2024), random.randrange(1, 13), random.randrange(1, 29))
    place = random.choice(PLACES.replace("\n", "|").split("|"))
    return [
        Element(
            0x00080050, "SH", random.choice((number(4, 5, 6, 7, 8, 12), b"20240317" + number(3), b"A" + number(5)))
        ),
        Element(0x00080080, "LO", place.encode()),
        Element(0x00080090, "PN", name()),
        Element(0x00081010, "SH", random.choice(STATIONS.split()).encode()),
        Element(0x00081040, "LO", random.choice((b"Radiology", b"CT", b"MRT 3 Nord", b"Neuroradiologie", b"Abdomen"))),
        Element(0x00081070, "PN", random.choice((name(), b"MTRA", b"admin", b"^", b"LR"))),
        Element(0x00100010, "PN", name()),
        Element(0x00100020, "LO", random.choice(forms)),
        Element(0x00100030, "DA", random.choice((born, b"20240317", b"20230601"))),
        Element(0x00100040, "CS", random.choice((b"M", b"F"))),
        Element(0x00102180, "SH", random.choice((b"", b"teacher", b"nurse", b"Kopfschlachter"))),
        Element(0x00181000, "LO", number(4, 5, 6)),
        Element(0x00200010, "SH", random.choice((b"1", b"CT", number(4, 5, 6), b"Head"))),
        Element(0x00400253, "SH", random.choice((b"MR20240317101112", number(5)))),
        Element(0x00401001, "SH", random.choice((number(3, 6), b"RP" + number(4)))),
    ]
