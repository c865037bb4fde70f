"""Words that prove nothing when they stand alone, lower case, ASCII: what verification must not take for a person or a place.

Of the standard's terms, of protocol names and maker's abbreviations, of the gateway's own marks; titles, particles and months.
A name that is one of these words is still searched together with the rest of the name (`needles`), and the text cleaner removes
it from free text.
"""

from __future__ import annotations

_STANDARD = """
abdomen abdominal abs acute acquired acquisition additional adult age algorithm amplitude aneurysm angio angiography angle ankle
ant anterior aorta aortic apex arch arm arterial artery aux axial axis back bag base basic biopsy bladder blood body bone bowel
box brain breast bypass calcium cardiac carotid cavity cell center centre central cerebral cervical chamber channel chest child
cine circle clavicle clinical code cold color colour column contrast copy coronal coronary corrected count cranial current
cut data date day decay deep delay density derived detail device diastolic diffusion digital direct distance dorsal dose double
dual dynamic edge elbow emission end energy enhanced enter error event exam examination exposure extended external eye face false
fast fat feet female femoral femur field filter final fine first flat flip flow fluid flux focal focus foot force forearm fourth
frame free frontal full fusion gain gamma gantry gate gated general gland gradient grid group half hand hard head heart heel
helical high hip horizontal hot hour hours human humerus image imaging index inferior infusion injection inner inside inspiration
internal interval invert joint kernel key kidney knee label large last late lateral lead left leg length lens level limit line
linear liver localizer long loop low lower lumbar lung lungs main major male mandible manual map mark mask mass matrix max
maximum mean mediastinum medium metal middle min minimum minor minute mixed mode model modified monitor mono motion motor mouth
multi muscle mucosa name narrow nasal native neck negative nerve neutral new night none normal nose nuclear number oblique off
one open operator optical oral orbit order organ original other outer outside overlay pain palm part partial patient pelvis
perfusion phantom phase physician plain plane plate pool portal position positive post posterior power pressure primary prior
procedure prone protocol pulmonary pulse quality radial range rare rate real recon reconstruction reference region relative
rest resting result retro rib ribs right room root rotation round routine sacral sagittal sample scan scanner scout second
secondary section sector segment septum sequence serial series set sharp shift short shoulder side signal single sinus site
skin skull slab slice slope slow small smooth soft software spectral spin spine spiral spleen stage standard start state static
station stent step sternum still storage straight stress strip stroke study subject subtraction sum superior supine surface
survey system systolic target temporal test text thick thigh thin third thoracic thorax throat tissue toe tone tooth top total
trace tracking transverse trunk true tube tumor two type ultra ultrasound unit unknown unspecified upper urinary user vein venous
ventral vent vertebra vertical vessel view virtual visit vision volume wall waist warm wash water wave weight white whole wide
window wrist yes young zero zone zoom
"""
_ABBREVIATIONS = """
adc afib ap asl avg bh bmd bold bpm cad can cap car cau ccta cor cra cta dce dec del deg dis dix dsa dti dwi ecg eeg ekg epi
err ext fbp fgre fid fir flair fov fse fspgr ger gre grs haste hrct hsg iac ima iner ing int ips iso ivp kub lao lat lcc les lin
lml log lpo mag mar max med meg mep mid min mip mlo mod mpr mra mrcp mri mrv msec nav neg neu nex nom non nor not num obl ori pat
pcr pet pha pos pre pro psif pwi rad ram rao ras ray ref reg rel rep res roi ros rpo sag sar sat sec seg sel sem sen seq ser sib
sim sin sit sms spair spc spect spgr src ssfp stat std stir sub sum sup suv swi sys tac tap tar tech temp ter tfe tia tir tof
tra trans trig trio true tru tse und unk usg vein ven ver vert vibe vol vox wip xray lut rgb dcm sct icd ucum snm srt loinc
"""
_MAKERS = """
agfa aloka analogic apple barco barracuda bayer bruker canon carestream cerner definition dell discovery elekta esaote force fuji
fujifilm general electric gems healthcare hitachi hologic ingenia intera intuitive kodak konica kyocera lightspeed magnetom
medison mindray minolta mirada neusoft nikon olympus optima parexel philips picker prisma revolution samsung sectra shimadzu
siemens signa skyra somatom sonosite symphony syngo terarecon toshiba varian vidar visage vital aquilion brilliance brightspeed
"""
_MARKS = """
action anon anonymised anonymized anonymous application clean confidentiality deidentified dates descriptors dicom features gateway
graphics hash identity information institution longitudinal option options pacs phantom pixel private profile pseudonym
recognizable removed retain safe structured content characteristics testing uids visual
"""
_TITLES = """
abu and assistant bin bint chief dam dame dan das dem den der des die dipl dott dottor dos dra doctor frau fur graf gen herr ibn
ing jun junior lady lord mag med mlle mme miss mister mrs msc mtra nurse phd priv prof professor radiologe radiologist reader
referring resident san santa sen senior ser señor sir sister surgeon technician technologist technologe ten ter tot und van vande
vander vel von vom zum zur admin administrator default dummy example guest local nobody noname root sample service unbekannt user
"""
_MONTHS = """
jan feb mar apr may jun jul aug sep sept oct nov dec january february march april june july august september october november
december januar februar maerz mai juni juli oktober dezember mon tue wed thu fri sat sun monday tuesday wednesday thursday friday
"""
ORDINARY: frozenset[bytes] = frozenset(
    word.encode("ascii")
    for words in (_STANDARD, _ABBREVIATIONS, _MAKERS, _MARKS, _TITLES, _MONTHS)
    for word in words.split()
    if word.isascii()
)

_PLACES = """
academic allee ambulanz and avenue building campus center centre centro centrum city clinic clinica clinical clinique
college community county department departement diagnostic diagnostics district federal floor foundation gebaeude
general gesellschaft gmbh groupe haus health healthcare hopital hospital hospitalier hospitals house imaging institut
institute institution international kantonsspital klinik kliniken klinikum krankenhaus laboratory medical medicine
medizin medizinische medizinisches memorial ministry municipal national neuroradiologie neuroradiology nuclear
nuklearmedizin office oncology onkologie paediatric partners platz praxis private radiologia radiologic radiological
radiologie radiologische radiology radiotherapy regional research room saint sanatorium school service services spital
station stiftung strasse strase street surgery suite system systems teaching township trust unit universitaet
universitaetsklinikum universitario universitatsklinikum universite university university's ward zentrum
"""
PLACE_WORDS: frozenset[bytes] = frozenset(_PLACES.encode("ascii").split())
"""Words that names and addresses of institutions are made of."""
