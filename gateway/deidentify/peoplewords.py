"""Words that tell of people, with no names among them: what stands before a name, around it, and what is none.

English, German, French, Spanish, Italian, Dutch, Portuguese; casefolded.
"""

from __future__ import annotations


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


BY = _set("by von vom durch par por per da dal door pela pelo")
DONE = _set(
    "reported rptd reporting signed cosigned sgd ordered ord requested req referred ref refd dictated transcribed "
    "verified authorised authorized approved read reread reviewed performed seen examined interpreted written "
    "entered typed attended checked prepared supervised sent phoned accompanied scanned assisted booked "
    "protocolled validated consented cannulated vetted justified operated "
    "informed called told brought finalized finalised electronically befundet gezeichnet gez signiert "
    "unterschrieben angefordert überwiesen zugewiesen erstellt diktiert freigegeben geprüft durchgeführt "
    "untersucht gelesen validiert vidiert begleitet geschrieben anforderung überweisung zuweisung befund signé lu "
    "rédigé prescrit interprété dicté adressé demandé validé réalisé examiné vu informado firmado solicitado "
    "remitido realizado dictado validado revisado visto leído refertato firmato richiesto eseguito inviato "
    "dettato validato visto refertata beoordeeld aangevraagd verslagen gezien ondertekend verwezen uitgevoerd"
)
HEADINGS = _set("befund")
"""Of `DONE`, what heads the findings themselves where a colon and more than a name follow: "Befund: Keine Fraktur"."""
SIGNED = _set(
    "signed sgd cosigned gez gezeichnet signiert unterschrieben signé firmado firmato ondertekend sign signature "
    "dear fao"
)
TOLD = _set(
    "discussed spoke spoken communicated phoned talked letter copy cc report besprochen telefoniert telefonisch "
    "brief d/w call"
)
TO = _set("with to from mit an bei avec à con a met aan")
ROLES = _set(
    "radiologist radiologists radiographer physician physicians doctor doctors surgeon technologist technician "
    "tech sonographer operator reader referrer requester requestor consultant registrar resident fellow nurse "
    "author anesthetist anaesthetist cardiologist oncologist urologist neurologist orthopedist gynecologist "
    "pediatrician paediatrician reporter typist secretary midwife therapist dentist clinician practitioner "
    "attending referring requesting ordering reporting reading responsible arzt ärztin radiologe radiologin "
    "oberarzt oberärztin chefarzt hausarzt zuweiser überweiser befunder untersucher mtra mtr anforderer "
    "assistenzarzt facharzt pfleger schreiber sekretärin médecin radiologue manipulateur chirurgien infirmière "
    "médico radiólogo enfermera cirujano medico radiologo infermiera chirurgo tecnico arts radioloog laborant "
    "verwijzer huisarts contact kontakt contacto contatto nok carer guardian gp"
)
SUBJECTS = _set("patient pat pt client name patientin paciente paziente patiënt cc attn attention")
ASKED = _set("informed notified paged bleeped rang consulted contacted phoned called dear familie fam")
SHORTENED = _set("req ref ord rptd refd requested")
"""Of `DONE`, where "by" is left out: "Ref. White"."""
RELATIONS = _set(
    "mother mum mom father dad wife husband son daughter brother sister parent parents spouse partner aunt uncle "
    "grandmother grandfather niece nephew cousin fiancé fiancée widow twin baby boy girl mutter vater ehefrau "
    "ehemann gattin gatte sohn tochter bruder schwester tante onkel lebensgefährte lebensgefährtin betreuer "
    "betreuerin oma opa mère père épouse époux mari femme fils fille frère soeur sœur madre padre esposa esposo "
    "marido hijo hija hermano hermana moglie marito figlio figlia fratello sorella moeder vader echtgenoot "
    "echtgenote zoon dochter broer zus"
)
BORN = _set(
    "née nee né geb geborene geborener born nata nato nacida nacido geboren alias aka genannt vulgo formerly "
    "called named namens"
)
SKIPPED = _set(
    "is was are Is Was named called name the a our my his her s der die das la le el il den het mr mrs ms miss"
)
"""Between what tells of a person and the name."""
PARTICLES = _set("von van de der den zu zum zur del della di da du la le los ter ten st mac mc al el bin ibn y dos das")
AND = _set("and u und et y e en und/oder or oder")
HERE = _set(
    "radiology cardiology oncology surgery neurology urology orthopedics orthopaedics neurosurgery emergency "
    "department dept clinic hospital team staff service casualty outpatient ward unit system software computer "
    "phone telephone fax email letter report protocol request default contrast injection radiologie chirurgie "
    "innere medizin klinik ambulanz station urologie onkologie for on at in of to and with as not no after before "
    "because due during if when while off out up only also from this that none negative normal unremarkable without "
    "kein keine keinen keiner keinem keines keinerlei nicht ohne unauffällig regelrecht"
)
"""Places and small words, which no name is, even with a large initial."""
SHORT = _set("fam ord geb gez sgd pat pt ref tech rptd req u né nok med")
"""Written with a full stop that ends no sentence."""
DEGREES = _set(
    "md phd rn frcr frcs frcp frca mbbs mrcp mrcs dds rt np llp ltd gmbh bsc msc esq jr sr clinic practice praxis"
)
"""Behind a name."""
SIZES = _set(
    "short long small tall tiny dark bright red blue pink blunt sharp slim bold strong plain fresh cool lean "
    "barrier black bright field wall north south east west"
)
"""Namesakes that describe more often than they name."""
