//! The words that negate, forbid or make exceptions, in the languages that they are known of.
//!
//! The lists are not kept apart by language: a word that is frequent as another one in another language is left out, or
//! counts only beside what tells its language.

/// Words that negate or forbid, in lower case; those that are as often another word in another language are left out.
pub(super) const NEGATIONS: &str = "\
    not no never neither nor none nobody nothing nowhere cannot hardly barely scarcely \
    forbidden prohibited impossible unable exempt excluded \
    forbids prohibits disallowed banned unlawful illegal contraindicated rejected denied \
    nicht kein keine keinen keinem keiner keines nie niemals nichts niemand weder kaum keinesfalls verboten \
    untersagt \
    keinerlei niemandem niemanden nirgends nirgendwo unzulässig unwirksam kontraindiziert verbietet ausgeschlossen abgelehnt \
    rejeté rejetée rechazado rechazada respinto respinta rejeitado rejeitada afgewezen odrzucono odrzucony \
    odrzucona zamítnut zamítnuta zamítnuto zamietnutý отклонено отклонён отклонена відхилено відхилена reddedildi \
    ne pas jamais aucun aucune ni rien guère interdit nul nulle \
    interdite interdits interdites interdisent défendu défendue contre-indiqué nullement \
    nunca jamás ningún ninguna ninguno tampoco nada nadie prohibido \
    prohibida prohibidos prohibidas prohíbe prohíben contraindicado contraindicada ningunas \
    ningú enlloc prohibit prohibeix non nin ninguén ningunha \
    non mai nessun nessuno nessuna né niente nulla neanche nemmeno neppure vietato \
    vietata vietati vietate divieto giammai \
    não jamais nenhum nenhuma nem ninguém proibido \
    proibida proibidos proibidas proíbe vedado vedada \
    niet geen nooit niets niemand nergens verboden \
    geenszins nimmer uitgesloten moenie \
    inte ej icke aldrig ingen inget inga varken ikke aldri ingenting ikkje \
    ingenstans förbjudet förbjuden förbjudna intet hverken verken forbudt forbode forbyr ulovlig \
    ekki aldrei enginn ekkert hvorki bannað \
    nie nigdy żaden żadna żadne żadnego żadnej nikt nic ani nigdzie zabrania \
    nikogo nikomu niczego żadnym zakaz zakazane zakazany zabronione zabroniony zabroniona niedozwolone \
    wzbronione wzbroniony \
    не нет ни никогда нельзя никто ничего никак нигде ничто запрещено запрещается \
    нету никому никого ничем никаких никакой никакие нету запрещён запрещен запрещена запрещены воспрещается \
    воспрещён \
    невозможно недопустимо \
    ні немає ніколи ніхто нічого \
    нема нікому нікого ніде ніщо ніякий ніяких ніяк жоден жодна жодне жодного жодної жодних неможливо \
    заборонено забороняється заборонена заборонений заборонені \
    няма нямат никой нищо нито никъде недей недейте забранено забранява забранен \
    није нису нисам нисмо нисте неће нећу нитко нико ништа никад никада нити немојте немој забрањено \
    немаат ништо забрането \
    nije nisu nisam nismo niste neće neću nećemo nema nemaju nitko niko ništa nikad nikada nijedan nijedna niti \
    nemojte nemoj zabranjeno zabranjen zabranjena nikoli nihče niso nič prepovedano \
    olmaz yetmez gitmez gelmez bilmez etmez almaz kalmaz satmaz verme \
    değil değildir yok yoktur yoktu hiç asla hiçbir yasak yasaktır yasaklanmıştır \
    deyil yoxdur qadağandır qadağan taqiqlanadi емес жоқ ешқашан тыйым \
    ei eivät eikä eivätkä emme ette älä älkää ellei ellen elleivät ikinä koskaan \
    kukaan mikään mitään kielletty kiellettyä kiellettyjä kielletään keelatud \
    nem sohasem sosem soha sem semmi semmit senki senkit sehol semmilyen nincs nincsen nincsenek sincs tilos tiltott \
    tilalmas nu nici niciodată nimeni nimic \
    nicio niciun niciunul nicăieri interzis interzisă interzise interzice \
    není neni nejsou nejsem nebyl nebyla nebylo nebyli nebude nebudou nemá nemám nemáme nemají nemůže nemohou nemusí \
    neplatí nemůžete nechce nebol nebola nebolo nebudú nemôže nemôžu nemajú nikdy nikdo žádný žádná žádné žádného nesmí nelze \
    nikoli nikoliv ničeho nikomu nikam zákaz zakázáno zakázán zakázána \
    nikto ničoho nič žiadny žiadna žiadne žiadneho nesmie nemožno zakázané zakázaný zakázaná \
    nėra niekada niekas niekur draudžiama draudžiamas draudžiami negalima neleidžiama nebus \
    nav nedrīkst nekad neviens nevar aizliegts aizliegta \
    nuk asnjë askush kurrë ndalohet inoiz debekatuta ezin \
    δεν μη μην όχι ποτέ κανείς κανένα ούτε \
    κανένας καμία καμιά τίποτα τίποτε πουθενά ουδέποτε απαγορεύεται απαγορεύονται απαγορευμένο \
    không chưa đừng chẳng cấm chớ \
    tidak bukan jangan belum bukanlah tidaklah dilarang larangan tiada takkan nggak mustahil \
    kamwe marufuku siyo huwag bawal walang wala \
    لا لم لن ليس ليست ليسوا غير ممنوع كلا لا \
    ممنوعة ممنوعا ليسا لست يمنع تمنع محظور محظورة يحظر تحظر يستحيل \
    לא אין אינו אינה אינם אסור מעולם \
    אסורה אסורים איסור לעולם שום שלא שאין \
    नहीं न मत ना कभी नही \
    मना वर्जित निषिद्ध निषेध प्रतिबंधित \
    नाही नाहीत नका नको नसेल मनाई छैन छैनन् होइन हुँदैन \
    না নেই নয় ন\u{9af}\u{9bc} নন নহে নাই নি নিষেধ নিষিদ্ধ কখনোই \
    નથી નહીં નહિ ન મનાઈ ਨਹੀਂ ਨਾ ਮਨ੍ਹਾ \
    அல்ல வேண்டாம் ஒருபோதும் தடை లేదు కాదు వద్దు లేరు లేవు నిషేధం \
    ಇಲ್ಲ ಅಲ್ಲ ಬೇಡ ನಿಷೇಧ ഇല്ല അല്ല അരുത് නැත නොවේ එපා \
    አይደለም የለም አይቻልም ክልክል არ არა ვერ ნუ აკრძალულია չէ չի չեն ոչ երբեք արգելված արգելվում \
    نه نیست نباید هرگز هیچ \
    نیستند نبود نبودند نباشد ندارد ندارند نداشت نشد نشده نشود نکرد نکرده نکند نکنید نخواهد نخواهند غیرمجاز قدغن \
    هیچکس \
    نہیں نہ نہیں منع ناممکن";

/// Words that make an exception or a condition of what the whole sentence says.
pub(super) const EXCEPTIONS: &str = "unless except excepting only without solely merely excluding exclusively \
    ohne außer nur ausgenommen ausschließlich lediglich sofern \
    sans sauf seulement hormis excepté exceptés exceptée uniquement exclusivement \
    sin salvo excepto solo sólo solamente únicamente exceptuando excepte llevat només únicament tret agás \
    senza tranne eccetto soltanto solamente unicamente esclusivamente fuorché purché \
    sem exceto só somente apenas unicamente exclusivamente afora \
    zonder behalve alleen slechts tenzij uitsluitend uitgezonderd behoudens behalwe slegs tensy \
    utan utom bara endast såvida uten unntatt uden undtagen \
    undantaget förutom medmindre udelukkende utelukkende utenom unntak undtagelse kun aðeins nema \
    bez oprócz prócz tylko wyłącznie jedynie chyba poza \
    без кроме только лишь исключением исключительно \
    крім окрім тільки лише виключно хіба \
    освен само единствено осим искључиво samo osim isključivo jedino brez razen izključno \
    hariç sadece olmadan dışında ancak olmadıkça olmaksızın haricinde müstesna yalnız \
    yalnızca faqat istisna тек \
    ilman paitsi vain nélkül csak kivéve hacsak kizárólag csupán kivételével \
    fără doar decât numai exceptând excepția excepţia ainult \
    kromě pouze jen jedině ledaže vyjma okrem jedine výlučne \
    išskyrus tik nebent izņemot tikai përveç vetëm salbu ezik \
    χωρίς μόνο μόνον εκτός πλην αποκλειστικά \
    trừ chỉ tanpa kecuali hanya terkecuali melainkan selain isipokuwa bila pekee maliban lamang \
    إلا بدون دون فقط عدا ماعدا سوى باستثناء إنما يستثنى \
    רק אלא בלי ללא מלבד למעט חוץ זולת בלבד \
    बिना सिवाय सिवा केवल सिर्फ सिर्फ़ अलावा छोड़कर फक्त शिवाय वगळता बाहेक \
    ছাড়া ছা\u{9a1}\u{9bc}া বাদে ব্যতীত শুধু শুধুমাত্র কেবল বিনা ફક્ત સિવાય વિના ਸਿਰਫ਼ ਬਿਨਾਂ \
    தவிர மட்டும் மட்டுமே இன்றி இல்லாமல் తప్ప మాత్రమే లేకుండా ಹೊರತು ಮಾತ್ರ ಇಲ್ಲದೆ ഒഴികെ മാത്രം കൂടാതെ හැර පමණක් \
    በስተቀር ብቻ გარდა მხოლოდ გარეშე բացի միայն առանց \
    مگر جز بجز به‌جز بغیر سوائے صرف علاوہ";

/// Exceptions in several words, in lower case.
pub(super) const EXCEPTION_PHRASES: &[&str] = &[
    "other than",
    "exception of",
    "apart from",
    "anything but",
    "instead of",
    "anyone but ",
    "everyone but ",
    "nobody but ",
    "no one but ",
    "nothing but ",
    "everything but ",
    " all but ",
    " none but ",
    " all save ",
    " save for ",
    "rather than",
    "as opposed to",
    "mit ausnahme",
    "es sei denn",
    "à moins que",
    "à moins qu",
    "à l'exception",
    "à l’exception",
    "a menos que",
    "a no ser que",
    "excepción de",
    "a meno che",
    "eccezione di",
    "a condizione",
    "exceção de",
    "uitzondering",
    "mits ",
    "om inte",
    "undantag för",
    "med undantag",
    "med unntak",
    "bortset fra",
    "hvis ikke",
    "z wyjątkiem",
    "chyba że",
    "o ile nie",
    "за исключением",
    "при условии",
    "за винятком",
    "s výjimkou",
    "lukuun ottamatta",
    "ngoại trừ",
    "με εξαίρεση",
    "dengan pengecualian",
    "abgesehen von",
    "mit ausschluss",
    "bis auf",
    "à l'exclusion",
    "à part",
    "con excepción",
    "a no ser",
    "con la salvedad",
    "com exceção",
    "a não ser",
    "sense permís",
    "sense cap",
    "sense un ",
    "sense una ",
    "sense la ",
    "sense el ",
    "sense avís",
    "sense autori",
    "med mindre",
    "välja arvatud",
    "za wyjątkiem",
    "разве что",
    "s výnimkou",
    "с изключение",
    "са изузетком",
    "uz iznimku",
    "sa izuzetkom",
    "s iznimko",
    "cu excepția",
    "cu excepţia",
    "אלא אם",
    "פרט ל",
    "אך ורק",
    "ما لم",
    "ما عدا",
    "به جز",
    "جب تک",
    "जब तक",
];
/// Negations in several words, or that endings are put to, in lower case.
pub(super) const NEGATION_PHRASES: &[&str] = &[
    "אל ת",
    "failed to ",
    "fails to ",
    "fail to ",
    "failing to ",
    "refused to ",
    "refuses to ",
    "lack of ",
    "far from ",
    "değil",
    "en ole ",
    "en voi ",
    "en saa ",
    "en tiedä",
    "en ollut",
    "en halua",
    "en osaa",
    "en aio ",
    "en usko ",
    "en ota ",
    "en tule ",
    "en maksa",
    "en hyväksy",
    " n-a ",
    " n-au ",
    " n-ar ",
    " n-am ",
    " n-ai ",
    " n-ați ",
    " n-are ",
    " n-avem ",
    " et saa ",
    " et voi ",
    " et ole ",
    "en tullut",
    " s'ka ",
    "hindi na ",
    "hindi pa ",
    "hindi puw",
    "ay hindi ",
    "не можна",
    "défense de ",
    "nulle part",
];
/// The prefixes of German and Dutch verbs that stand at the end of a clause, and without which the verb says
/// something
/// else: "kündigt an" announces, "kündigt" gives notice.
pub(super) const VERB_PREFIXES: &[&str] = &[
    "an", "ab", "auf", "aus", "ein", "vor", "zu", "nach", "bei", "los", "fest", "zurück", "weg", "aan", "af",
    "uit",
];

/// Negations of scripts that are not written in words, or that are parts of words.
pub(super) const PARTS: &[&str] = &[
    "不",
    "没",
    "沒",
    "未",
    "无",
    "無",
    "非",
    "别",
    "勿",
    "莫",
    "禁",
    "谢绝",
    "謝絕",
    "否",
    "ない",
    "なかっ",
    "なく",
    "なけれ",
    "ません",
    "ませぬ",
    "ずに",
    "おらず",
    "れず",
    "できず",
    "せず",
    "らず、",
    "らず。",
    "ぬこと",
    "なしに",
    "なしで",
    "べから",
    "じゃな",
    "않",
    "못",
    "없",
    "아니",
    "아닙",
    "아닌",
    "마세요",
    "마십시오",
    "말아",
    "지 마",
    "지 말",
    "금지",
    "안 ",
    "안됩",
    "안됨",
    "불가",
    "불허",
    "말 것",
    "말것",
    "ไม่",
    "ห้าม",
    "มิได้",
    "มิใช่",
    "มิให้",
    "อย่า",
    "ບໍ່",
    "ຫ້າມ",
    "ຢ່າ",
    "មិន",
    "កុំ",
    "ហាម",
    "ဘူး",
    "တားမြစ်",
    "မရ",
    "ில்லை",
    "இல்லை",
    "ாதீர்",
    "முடியாத",
    "கூடாது",
    "தடைசெய்",
    "నిషిద్ధం",
    "లేదు",
    "కూడదు",
    "రాదు",
    "ಿಲ್ಲ",
    "ില്ല",
    "രുത്",
    "েনি",
];
/// Words that hold a part which negates, and do not negate themselves.
pub(super) const NEUTRAL: &[&str] = &[
    "อย่าง",
    "是否",
    "能否",
    "可否",
    "会否",
    "非常",
    "非洲",
    "特别",
    "特別",
    "分别",
    "分別",
    "个别",
    "個別",
    "区别",
    "區別",
    "級別",
    "级别",
    "性别",
    "性別",
    "类别",
    "類別",
    "别人",
    "别的",
    "别名",
    "别墅",
    "不同",
    "不断",
    "不斷",
    "不久",
    "不动产",
    "不動産",
    "不動產",
    "未来",
    "未來",
    "无论",
    "無論",
    "无线",
    "無線",
    "無料",
    "无数",
    "無数",
    "無數",
    "没收",
    "沒收",
    "不仅",
    "不僅",
    "不少",
    "不错",
    "差不多",
    "没关系",
    "かならず",
    "はなし",
    "งดงาม",
    "โดยเฉพาะ",
    "删除",
    "刪除",
    "清除",
    "解除",
    "扣除",
    "消除",
    "拆除",
    "移除",
    "去除",
    "切除",
    "削除",
    "掃除",
    "除雪",
    "除草",
    "一只",
    "两只",
    "兩只",
    "三只",
    "几只",
    "这只",
    "那只",
    "船只",
];
pub(super) const EXCEPTION_PARTS: &[&str] = &[
    "除",
    "只",
    "仅",
    "僅",
    "以外",
    "のみ",
    "だけ",
    "しか",
    "ยกเว้น",
    "เว้นแต่",
    "เฉพาะ",
    "เท่านั้น",
    "제외",
    "외에",
    "에 한해",
    "에 한하여",
    "빼고",
    "に限",
    "ຍົກເວັ້ນ",
    "លើកលែង",
    "오직",
    "에만",
    "으로만",
    "뿐",
];
/// Words for `or` and `nor`, behind which a negation goes on.
pub(super) const OR: &[&str] = &[
    "or", "nor", "oder", "noch", "ou", "ni", "o", "né", "nem", "of", "eller", "lub", "ani", "ni", "или",
    "ни", "або", "чи", "ні", "nebo", "alebo", "ali", "tai", "eikä", "vagy", "sem", "sau", "veya", "ή",
    "ούτε", "atau", "hoặc", "أو", "ولا", "یا", "או", "या",
];
/// Words for `but`: a negated clause that begins with one limits the clause before it.
pub(super) const BUT: &[&str] = &[
    "but",
    "aber",
    "jedoch",
    "mais",
    "pero",
    "sino",
    "ma",
    "mas",
    "maar",
    "men",
    "ale",
    "lecz",
    "но",
    "але",
    "а",
    "али",
    "ali",
    "dar",
    "mutta",
    "vaan",
    "ama",
    "fakat",
    "αλλά",
    "bet",
    "però",
    "nhưng",
    "tetapi",
    "namun",
    "lakini",
    "لكن",
    "ولكن",
    "لیکن",
    "اما",
    "ولی",
    "लेकिन",
    "पर",
    "কিন্তু",
    "ஆனால்",
    "אבל",
    "ולא",
    "אך",
];
