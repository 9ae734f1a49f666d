//! The protected patterns, as regular expressions.
//!
//! Each finds its matches without looking far beyond them: alternatives that would are patterns of their own.

use serde::{Deserialize, Serialize};

/// Kinds of text that are protected, by name.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Protection {
    /// Numbers with sign, currency, separators, exponent and unit: `-3.5 °C`, `$1,250,000.50`, `12.5%`.
    Numbers,
    /// Dates and times: `2024-03-15`, `March 15, 2024`, `11:30 p.m.`.
    Dates,
    /// `https://example.org/a?b=c`, and the targets of links of Markdown: `](docs/a.md)`.
    Urls,
    /// `src/main.rs`, `/etc/hosts`, `C:\Temp\a.txt`.
    Paths,
    /// `name@example.org`.
    Emails,
    /// `snake_case`, `camelCase`, `a::b`, `x.y()`, `ABC-123`, `@name`, hashes, UUIDs.
    Identifiers,
    /// `v3.11.7`, `2.0.0-rc.1`.
    Versions,
    /// Quoted text of one line, at most 200 bytes with its marks.
    Quotes,
    /// Text in backticks of one line, at most 200 bytes with its marks, and each line of a fenced block.
    Code,
    /// A negation with the clause that it governs, in the languages that it is known of: `the pump was not replaced`.
    /// What makes an exception (`unless`, `except`, `only`, `without`) goes with its whole sentence.
    Negations,
}

impl Protection {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::Numbers,
        Self::Dates,
        Self::Urls,
        Self::Paths,
        Self::Emails,
        Self::Identifiers,
        Self::Versions,
        Self::Quotes,
        Self::Code,
        Self::Negations,
    ];
}

/// The patterns of one kind.
pub(super) fn patterns(kind: Protection) -> &'static [&'static str] {
    match kind {
        Protection::Numbers => &[
            NUMBER, COUNTED, MAGNITUDE, TELEPHONE, POWER, UNITS, RANGE, FRACTION, BOUND, PREFIXED, MEASURE,
            LABELLED, HAN_NUMBER, QUALIFIED, FROM_TO,
        ],
        Protection::Dates => &[DATE, DAY_AND_MONTH],
        Protection::Urls => &[
            LINK,
            r"(?m)^\x20{0,3}\[[^\[\]\n]+\]:[\x20\t]+[^\s\[\]]+|\[\^[^\[\]\s]+\]",
            r#"\b{start-half}(?:[a-zA-Z][a-zA-Z0-9+.\-]{1,15}://|www\.)[^\s<>"'`\)\]\}]+[^\s<>"'`\)\]\}.,;:!?]"#,
        ],
        Protection::Paths => PATHS,
        Protection::Emails => &[r"\b{start-half}\w[\w.+\-]*@[\w\-]+(?:\.[\w\-]+)+"],
        Protection::Identifiers => &[
            IDENTIFIER,
            r"\b{start-half}[\#@]\w+",
            r"\b{start-half}[A-Za-z]\w*_-\d+\b{end-half}",
            r"\b{start-half}\p{L}{3,} [A-HJ-Z]\b{end-half}",
            ROMAN,
            r"\b{start-half}(?:\p{Lu}\.[ \u{a0}]?){2,4}\p{Lu}\p{L}+",
            r"\b{start-half}\p{Lu}-\p{Ll}+\b{end-half}",
            FULL_NAME,
        ],
        Protection::Versions => {
            &[r"\b{start-half}[vV]?\d+(?:\.\d+)+(?:[\-+][0-9A-Za-z.\-]*[0-9A-Za-z])?\b{end-half}"]
        }
        Protection::Quotes => QUOTES,
        Protection::Code => &[r"`[^`\n]+`", r"[!=<>:]=|&&|\|\||->|=>"],
        Protection::Negations => &[
            r"(?x) \b{start-half} (?: (?i: not | never | no | nor | neither | without | cannot | hardly | unless )
                | \w+ (?i: n['’]t ) ) \b{end-half} (?: (?: [^\S\n]+ | [^\S\n]* \n [^\S\n]* ) (?: \w+ | [$€£] \S+ ) )?",
            MODAL,
        ],
    }
}

/// Images of Markdown, which may be links, and the targets of links, with the bracket that ends the text of one.
const LINK: &str = r#"(?x) \[ !\[ [^\[\]\n]* \] \( [^()\s]* \) \] (?: \( [^()\s]* \) | \[ [^\[\]\n]* \] )
    | !\[ [^\[\]\n]* \] (?: \( [^()\s]* (?: \x20 "[^"\n]*" )? \) | \[ [^\[\]\n]* \] )
    | \] (?: \( (?: [^()\s] | \( [^()\s]* \) )+ (?: \x20 "[^"\n]*" )? \) | \[ [^\[\]\n]* \] )"#;

const NUMBER: &str = r"(?x) [+\-−±]? [$€£¥₹]? \s? \p{Nd} [\p{Nd}_]* (?: [.,'’/:] \p{Nd}+ )* (?: [eE] [+\-]? \p{Nd}+ )?
    (?: \s? (?: % | ‰ | °\s?[CFK]? | º )
      | [\u{20}\u{a0}\-]? (?: [kKMGTmµun]? (?: m | g | s | b | B | W | V | A | Hz | Wh | Pa | J | N | bit | l | L )
          (?: ²|³|/s|/h|ps )? | min | h | hrs? | km/h | mph | mi | ft | in | lbs? | oz | kg
          | years? | months? | weeks? | days? | hours? | minutes? | seconds? | million | billion | trillion | thousand
          | percent | dollars? | euros? | pounds? | USD | EUR | GBP ) \b{end-half}
      | (?: st | nd | rd | th | s | x | k | m | K | M | bn | [KMG]iB ) \b{end-half} )?";

/// Numbers with the counters of languages that write them after the number, and with units in words.
const COUNTED: &str = r"(?x) [+\-−]? \p{Nd} [\p{Nd}.,]* (?:
    \s? [万萬亿億千百만억천]{0,2} \s? (?: 分钟 | 分鐘 | 小时 | 小時 | 公里 | 千米 | 公斤 | 公顷 | 年间 | 時間 | か月 | ヶ月 | [个個]月 | [年月日号號时時分秒点點个個台名人次家艘米吨噸万萬亿億元円期倍岁歳天周週层層度回本枚匹頭开] | 시간 | 퍼센트 | 개월 | [개명년월일시분원대만억번동층호세권주] )
    | [\u{20}\u{a0}\u{202f}]? (?: [Mm][eè]tr\w* | [Mm]eter\w* | metros? | metri | Kilometer | kilom\w+ | heures? | horas? | Stunden? | uur | uren | timmar | godzin\w* | часов | часа | час
      | minut\w* | Minuten? | минут\w* | jours? | Tage?n? | días? | dias? | giorn[io] | dagen | dagar | дн\w{1,3} | dni | semaines? | Wochen? | semanas? | settiman[ae] | недел\w*
      | mois | Monate?n? | mes(?:es)? | meses | mesi | maanden | miesi\w+ | месяц\w* | ans | années? | Jahre?n? | años? | anos? | ann[io] | jaar | år | lat | лет | года? | yıl | gün | saat | साल | वर्ष | घंटे | ปี | วัน | سنة | يوم
      | Euro | euros | Pfund | livres | libras | рубл\w* | zł | kr | TL | Prozent | percento | por\sciento | procent | процент\w* | градус\w* | Grad | degrés | grados
      | kW | kWh | MW | mm | cm | ha | t | kPa | mbar | rpm | dB | Mbit | GB | MB | KB | TB ) \b{end-half} )";

/// Numbers with the currency, sign or word before them: `US$ 40`, `CHF 1'200.50`, `§ 12`, `%5`, `p < 0.05`, `14:30` behind
/// `kl.`.
const PREFIXED: &str = r"(?x) (?: \b{start-half} (?: [A-Z]{1,3}\$ | (?: CHF | EUR | USD | GBP | INR | JPY | SEK | NOK | DKK | PLN ) \b{end-half} | Rs\.? | Rp\.? | kr\.?
      | (?: Tel | tel | Fax | тел | kl | klo | godz | Art | Abs | Nr | nr | No | no | p | pp | S | Fig | fig | Abb | стр | гл | ст | п ) \. | klo | saat | ore | ora | ngày | เวลา | วันที่ | [a-zA-Z] \x20? [<>=≤≥] )
    | [₺₽₴₩₪฿₫₦₱₡₲₵₸฿£€¥₹%~≈<>≤≥§№±] | [上下]午 | 凌晨 | 早上 | 晚上 | 中午 | 午[前後] | 오전 | 오후 | 令和 | 平成 | 昭和 | 大正 | 明治 | 民[国國] | 公元 | 西暦 ) [\x20\u{a0}]? [-−]? \p{Nd}+ (?: [.,'’:()/\-]{1,2} \p{Nd}+ )* (?: \x20? [€$£₽] )?";

/// Numbers with units of two words, and shares with their interval: `230 V AC`, `3 bar abs`, `95% CI 3.1 to 5.3`.
const QUALIFIED: &str = r"(?x) \p{Nd} [\p{Nd}.,]* \x20? (?: k?V \x20? (?: AC | DC ) | m?A \x20 (?: AC | DC ) | bar \x20 (?: abs | gauge | g | a ) | m?m \x20? Hg
      | (?: US | UK | imperial ) \x20 (?: gallons? | gal | pints? | tons? | fl ) | fl\.? \x20 oz | (?: sq\.? | cu\.? | square | cubic ) \x20 (?: ft | in | m | km | mi | yd | metres? | meters? | feet | inch(?:es)? | miles? | kilomet(?:re|er)s? | cm | yards? )
      | [mµ]?g/kg (?: /day | \x20 (?: body\x20weight | bw ) ) | nautical \x20 miles? | light \x20 years? | metric \x20 tons?
      | % \x20 (?: CI (?: [:,]? \x20? [\-−]? \p{Nd} [\p{Nd}.]* (?: \x20to\x20 | \x20?[–\-]\x20? | ,\x20? | ;\x20? ) [\-−]? \p{Nd} [\p{Nd}.]* )?
          | RH | ABV | w/w | v/v | w/v | vol ) )  \b{end-half}";

/// Lengths in feet and inches, powers of ten with their unit, times of day, clauses of laws, parts of a whole, groups
/// of digits with a currency behind them.
const MEASURE: &str = r"(?x) \p{Nd}+ (?: ' | ′ | ’ ) \x20? -? \x20? \p{Nd}+ (?: [½¼¾] | \x20\p{Nd}/\p{Nd} )? [\x22″”]
    | \p{Nd} [\p{Nd}.,]* \x20? [x×·]? \x20? 1?0? [⁻⁺]? [⁰¹²³⁴-⁹]+ (?: \x20? \p{L}{1,8} (?: / \p{L}{1,4} [²³]? )? )?
    | \p{Nd}+ \x20? (?: h | giờ | Uhr ) \x20? \p{Nd}{2} \b{end-half} | \p{Nd} [\p{Nd}.,]* \x20? [kM]?[€$£¥₽₴₺₩₪฿₫¢٪％]
    | \p{Nd}+ [a-z]? (?: \( [\p{L}\p{Nd}]{1,4} \) )+ | \p{Nd}+ \x20 (?: out\x20of | in | von | sur | из | з | z ) \x20 \p{Nd}+
    | \p{Nd}+ \x20 m/s² | \( \p{Nd}{2,5} \) [\x20\-]? \p{Nd}{3,5} (?: [\x20\-] \p{Nd}{2,5} )* | \b{start-half} \p{Nd}{1,3} (?: [\x20\u{a0}\u{202f}] \p{Nd}{3} )+ (?: [\x20\u{a0}\u{202f}] [€$£₽] )? \b{end-half}
    | \p{Nd} [x×] \p{Nd} | \p{Nd}+ (?: \. [ºª] | [eº] | er )";

/// Parts of a text or a place by their numbers, where the word is not capitalised.
const LABELLED: &str = r"(?xi) \b{start-half} (?: articles? | artículos? | articol[oi] | artigos? | artikel | sections? | secci[oó]n | sezione | seção | pages? | páginas? | pagina | step | item | row | line | level | table | figure
    | question | chapter | clause | paragraph | para | room | gate | version | stage | phase | type | exit | porte | puerta | chambre | étape | chapitre | capítulo | capitolo | стать[яиею]+ | глав[аеы] | пункт[а-я]* | раздел[а-я]* | стаття | розділ | rozdział\p{L}* | strona ) \x20 \p{Nd} [\p{Nd}.]*";

/// Numbers that are written with Han characters, ordinals, and numbers with the counters that follow them.
const HAN_NUMBER: &str = r"(?x) 第 [〇一二三四五六七八九十百千万\p{Nd}]+ [条條章节節款項项页頁回届屆期次号號名位集卷册冊编編课課天年度]?
    | 百分之 [〇一二三四五六七八九十百点點\p{Nd}.]+ | [〇一二三四五六七八九十百千万萬億亿]{2,} (?: 公斤 | 公里 | 平方米 | 分钟 | 小时 | [人名年月日元円个個台米岁歳天次倍回枚本] )?
    | \p{Nd} [\p{Nd}.,]* \x20? (?: 平方米 | 立方米 | 平方公里 | 摄氏度 | 攝氏度 | 厘米 | 毫米 | 毫升 | 公分 | 百分点 | パーセント | キロ(?:メートル|グラム)? | センチ(?:メートル)? | ミリ | メートル | リットル | グラム | ドル | ユーロ | ページ | 丁目 | 号室 | 回目 | 人目
      | [条條章节節款項项页頁册冊只隻支张張把辆輛架座栋棟间間户戶口匹碗杯瓶袋箱包套双雙对對群批种種级級瓦伏安克两兩斤圈步折季集楼樓线線站つ階畳泊度位頭羽件社校店品段番] )
    | \p{Nd} [\p{Nd}.,]* \x20? (?: บาท | คน | น\. | กิโล(?:กรัม|เมตร)? | เมตร | เดือน | ชั่วโมง | นาที | เปอร์เซ็นต์ | องศา | ครั้ง | ตัว | คัน | ชิ้น | ลิตร | ห้อง | เล่ม | ล้าน (?: บาท | คน )? | พัน | หมื่น | แสน )
    | \p{Nd} [\p{Nd}.,]* \x20? (?: 킬로(?:미터|그램)? | 미터 | 센티 | 리터 | 마리 | 달러 | 잔 | 평 | 박 | 도 | 회 | 병 | 대 )";

/// Names with Roman numerals: `Type II`, `Henry VIII`, Пётр I, and centuries.
const ROMAN: &str = r"(?x) \b{start-half} (?: \p{Lu} \p{L}+ \x20 (?: \p{Lu} \p{L}+ \x20 )? [IVX]{2,5} \b{end-half} \.? | [\p{Cyrillic}\p{Greek}]{2,} \x20 [IVX]{1,5} \b{end-half}
    | [IVX]{1,5} (?: e | er | ème )? \x20 (?: siècles? | siglos? | secol[oi] | séculos? | век\p{L}* | століт\p{L}+ | wiek\p{L}* | stolet\p{L}+ | Jahrhundert\p{L}* | centur\p{L}+ | в\. ) )";

/// A name with initials in it, whose full stops end no sentence: `Ida B. Lind`.
const FULL_NAME: &str =
    r"\b{start-half}\p{Lu}\p{Ll}+\x20(?:[A-HJ-Z]\.\x20?){1,3}\p{Lu}[\p{L}'’\-]+\b{end-half}";

/// Words that oblige or allow as standards write them, in capitals, with the verb.
const MODAL: &str = r"\b{start-half}(?:MUST|SHALL|SHOULD|MAY|REQUIRED|RECOMMENDED)\b{end-half}(?:\sNOT\b{end-half})?(?:\s\w+)?";

/// Results and ranges: `0-1`, `8–10 min`. The unit is that of the last number.
const RANGE: &str = r"\p{Nd}[\p{Nd}.,]*(?:[\-–—−~〜～]|\x20[–—]\x20)\p{Nd}+";

/// Changes and ranges in words: `from 3 to 17 March`, `von 40 auf 45`. Half of one is another number.
const FROM_TO: &str = r"(?xi) \b{start-half} (?: from | between | von | vom | zwischen | de | du | del | entre | desde | da | dal | dalle | tra | fra | van | tussen | od | ze? | со? | від | между | między | från | mellan | mellem )
      \s [$€£]? \p{Nd} [\p{Nd}.,:]* (?: \s? % | \s \p{L}+ )? \s (?: to | and | until | till? | bis | auf | und | à | au | et | a | al | alle | y | e | hasta | até | ao | naar | tot | en | do | na | на | до | по | и | i | och | og )
      \s [$€£]? \p{Nd} [\p{Nd}.,:]*";

/// Fractions with what they are of: `1½ tsp`.
const FRACTION: &str = r"(?:\p{Nd}+\x20?)?[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞](?:\x20\p{L}+\b{end-half})?";

/// Numbers with units in more languages, and with what votes are counted as.
const UNITS: &str = r"(?x) \p{Nd} [\p{Nd}.,]* [\x20\u{a0}] (?: роки | року | років | рік | гривень | гривні | гривня | грн | руб | годин | години | хвилин | дні | днів | день | тижні | тижнів | місяці | місяців | осіб | разів
    | кВт | Вт | кг | км | мм | см | мг | мл | лв | лева | złotych | złote | tygodni | tygodnie | osób | sztuk | Kč | korun | hodin | let | roků | rokov | dní | dnů | týdnů | týdny | měsíců | mesiacov
    | forint | forintos | Ft | év | éves | évig | nap | napig | napos | óra | órát | perc | percig | lei | zile | ore | ευρώ | ώρες | ημέρες | μέρες | χρόνια | έτη | λεπτά | μήνες
    | euroa | tuntia | päivää | vuotta | minuuttia | viikkoa | kronor | kroner | dage | dager | timer | veckor | uger | uker
    | rupiah | hari | jam | bulan | tahun | menit | đồng | ngày | giờ | tháng | năm | phút | روپے | سال | روز | ساعت | تومان | ریال | فیصد | درصد | دن | ماہ
    | টাকা | দিন | বছর | মাস | रुपये | दिन | महीने | שנים | ימים | שקלים | שעות | ரூபாய் | நாட்கள்
    | mmol/[lL] | [µu]?mol/[lL] | [mµun]?g/[dm]?[lL] | [mµun]?g/kg | mmHg | bpm
    | in\x20favou?r | against | abstentions? | votes? | dafür | dagegen | Stimmen | Enthaltung | Enthaltungen | voix | contre | votos? | voti | против ) \b{end-half}";

/// Powers of ten behind a factor, `2^31`, and `2+`.
const POWER: &str = r"(?x) \p{Nd} [\p{Nd}.,]* (?: \s? [x×] \s? 10 (?: \^ | \*\* )? [-−]? \d* (?: / \p{L}+ )? | \^ [-−]? \w+ | \+ )";

/// A bound with its number or the beginning of its date: `at most 900`, `höchstens 30 kg`, `after 3 May`.
const BOUND: &str = r"(?xi) \b{start-half} (?: at\s(?:most|least) | up\sto | (?: no\s )? (?:more|less|fewer)\sthan | over | under | above | below | exceeding
    | mindestens | höchstens | bis\szu | unter | über | mehr\sals | weniger\sals
    | au\s(?:moins|plus|maximum) | jusqu['’]à | plus\sde | moins\sde | al\smenos | como\smáximo | hasta | más\sde | menos\sde
    | almeno | al\smassimo | fino\sa | più\sdi | meno\sdi | pelo\smenos | no\smáximo | até | mais\sde | minstens | hoogstens | maximaal
    | (?:not\s|no\slater\sthan\s|not\slater\sthan\s)? (?:before|after|until|till|since|from|through) | as\sof | beginning | starting
    | vor | nach | ab | bis | seit | spätestens | frühestens | avant | après | jusqu['’]au | dès | depuis | à\spartir\sdu | antes\sdel? | después\sdel? | desde | a\spartir\sdel?
    | prima\sdel? | dopo | entro | fino\sal? | dal | depois\sde | voor | na | tot | vanaf | uiterlijk | före | efter | senast | från | inden | senest | fra | etter | innen
    | przed | po | od | nie\swcześniej\sniż | před | nejpozději | после | не\s(?:позднее|ранее) | від | після | понад | ponad | przez | πριν | μετά | έως | μέχρι
    | sebelum | sesudah | setelah | hingga | sampai | trước | sau | đến | قبل | بعد | حتى | منذ | تا | از
    | minst | högst | co\snajmniej | najwyżej | не\s(?:более|менее) | до | свыше | en\saz | en\sfazla )
    \s (?: (?: the | dem | den | der | zum | le | el | il | o | al | a | alla | am ) \s )? (?: (?: Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec ) [a-z]{0,6} \.? \s )?
    [+\-−$€£¥₹]? \p{Nd} [\p{Nd}.,]* (?: \s? (?: % | °\s?[CFK] | [kmc]?m²? | kg | g | mg | ml | l | km | t | [kMG]?W | [kMGT]B | EUR | USD | euros? | Euro ) \b{end-half} )?";

/// A day with its month, and the year where it is there, in the languages that write them so.
const DAY_AND_MONTH: &str = r"(?xi) \b{start-half} \p{Nd}{1,2} (?: \. | º | er )? \s (?: de\s | d['’] )? (?: (?:
      januar[iy]? | januari | january | januára? | jänner | enero | janeiro | gennaio | janvier | stycznia | ledna | января | січня | ocak | tammikuuta | ιανουαρίου
    | februar[iy]? | februari | febrero | fevereiro | febbraio | février | lutego | února | февраля | лютого | şubat | helmikuuta | φεβρουαρίου
    | märz | maart | mars | marts | march | marzo | março | marca | března | марта | березня | mart | maaliskuuta | μαρτίου
    | april | aprile? | abril | avril | kwietnia | dubna | апреля | квітня | nisan | huhtikuuta | απριλίου
    | mai | maj | mei | may | mayo | maio | maggio | maja | května | мая | травня | mayıs | toukokuuta | μαΐου
    | jun[ie]? | june | juin | junio | junho | giugno | czerwca | června | июня | червня | haziran | kesäkuuta | ιουνίου
    | jul[iy]? | juillet | julio | julho | luglio | lipca | července | июля | липня | temmuz | heinäkuuta | ιουλίου
    | august[ius]* | augusti | augustus | août | agosto | sierpnia | srpna | августа | серпня | ağustos | elokuuta | αυγούστου
    | septemb(?:er|re|ris) | septiembre | setembro | settembre | września | září | сентября | вересня | eylül | syyskuuta | σεπτεμβρίου
    | o[kc]tob(?:er|re) | octubre | outubro | ottobre | października | října | октября | жовтня | ekim | lokakuuta | οκτωβρίου
    | novemb(?:er|re) | noviembre | novembro | listopada | listopadu | ноября | листопада | kasım | marraskuuta | νοεμβρίου
    | de[cz]emb(?:er|re) | desember | diciembre | dezembro | dicembre | décembre | grudnia | prosince | декабря | грудня | aralık | joulukuuta | δεκεμβρίου ) \b{end-half}
    | जनवरी | फरवरी | फ़रवरी | मार्च | अप्रैल | मई | जून | जुलाई | अगस्त | सितंबर | अक्टूबर | नवंबर | दिसंबर
    | يناير | فبراير | مارس | أبريل | مايو | يونيو | يوليو | أغسطس | سبتمبر | أكتوبر | نوفمبر | ديسمبر
    | มกราคม | กุมภาพันธ์ | มีนาคม | เมษายน | พฤษภาคม | มิถุนายน | กรกฎาคม | สิงหาคม | กันยายน | ตุลาคม | พฤศจิกายน | ธันวาคม
    | ב?(?: ינואר | פברואר | מרץ | אפריל | מאי | יוני | יולי | אוגוסט | ספטמבר | אוקטובר | נובמבר | דצמבר )
    | فروردین | اردیبهشت | خرداد | تیر | مرداد | شهریور | مهر | آبان | آذر | دی | بهمن | اسفند
    | tháng\s\d{1,2} ) (?: ,? \s (?: de\s )? (?: năm\s )? \p{Nd}{4} (?: \s (?: r | г | року ) \b{end-half} \.? )? )?";

/// Thousands, millions and so on, and what there are so many of.
const MAGNITUDE: &str = r"(?x) \p{Nd} [\p{Nd}.,]* [\u{20}\u{a0}\u{202f}] (?: hundred | thousand | million | billion | trillion
    | Tausend | Million(?:en)? | Milliarden? | Mio\.? | Mrd\.? | milliers | millions? | milliards? | mille | mil | mill(?:ones|ón) | milh(?:ões|ão) | bilh(?:ões|ão)
    | milion[ie] | miliard[ioi] | mila | miljoen | miljard\w* | miljoner | тысяч\w* | тыс\. | миллион\w* | млн | миллиард\w* | млрд | tysi\w+ | milion\w* | mln | mld | milyon | milyar | bin
    | tys | tis | mil | lakhs? | crores? | लाख | करोड़ | हज़ार | triệu | tỷ | nghìn | ngàn | juta | ribu | miliar | εκατ | εκατομμύρια | δισ | χιλιάδες | מיליון | מיליארד | אלף | miljoonaa | miljardia | tuhatta | millió | milliárd | ezer | milioane | miliarde
    | مليون | مليار | ألف | ملايين | میلیون | میلیارد | هزار | M€ )
    \b{end-half} \.? (?: \s (?: d['’] | de\s | di\s | of\s )? [\p{L}€$£]{1,20} )?";

/// Groups of digits: telephone numbers and others that are said in groups.
const TELEPHONE: &str = r"(?x) \b{start-half} \+? (?: \( \d{1,5} \) [\u{20}\-]? )? \d{1,5} (?: [\u{20}\-] (?: \( \d{2,5} \) | \d{2,5} ) ){2,5} \b{end-half}";

const DATE: &str = r"(?x) \b{start-half} (?: \d{4}-\d{2}-\d{2} (?: [T\ ] \d{2}:\d{2} (?: :\d{2} (?: \.\d+ )? )? (?: Z | [+\-]\d{2}:?\d{2} )? )?
    | \d{1,2} [/.\-] \d{1,2} [/.\-] \d{2,4}
    | \d{1,2} (?: st|nd|rd|th )? \s (?: of \s )? (?: Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec ) [a-z]* \.? (?: ,? \s \d{4} )?
    | (?: (?: Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec ) \. \x20 | (?: Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec ) [a-z]* \s ) \d{1,2} \b{end-half} (?: st|nd|rd|th )? (?: ,? \s \d{4} )?
    | (?: January|February|March|April|May|June|July|August|September|October|November|December ) \s \d{4}
    | \d{1,2} (?: : \d{2} ){1,2} (?: \s? [aApP] \.? [mM] \b{end-half} \.? )? (?: \s (?: [A-Z]{2,4} | Uhr | uur | h ) \b{end-half} )? | \d{1,2} \s? [aApP] \.? [mM] \b{end-half} \.? )";

/// A full stop at the end is the sentence's.
const PATHS: &[&str] = &[
    r"(?x) (?: \b{start-half}[A-Za-z]:\\ | \\\\ )? [\w.\-]+ (?: \\ [\w.\-]* [\w\-] )+",
    r"(?x) \b{start-half} (?: ~ | \.{1,2} )? (?: / [\w.\-@+]* [\w\-@+] )+ /?",
    r"(?x) \b{start-half} \w [\w.\-]* (?: / [\w.\-@+]* [\w\-@+] )+",
    r"(?x) \b{start-half} \w [\w\-]* \. (?: rs|py|js|ts|tsx|go|c|h|cpp|hpp|java|rb|php|cs|sh|sql|md|txt|json|jsonl|toml|yaml|yml|xml|html
        |css|csv|tsv|log|pdf|docx?|xlsx?|png|jpe?g|svg|zip|tar|gz|lock|conf|ini|env ) \b{end-half}",
];

const IDENTIFIER: &str = r"(?x) \b{start-half} (?: [A-Za-z_]\w* (?: (?: :: | -> | \. ) [A-Za-z_]\w* )+ (?: \(\) )?
    | \w* [A-Za-z] \w* _ \w+ | _+ \w+ | [a-z]+ [a-z0-9]* (?: [A-Z][a-z0-9]* )+ | (?: [A-Z][a-z0-9]+ ){2,}
    | [A-Za-z]+ \d \w* | \d+ [A-Za-z]+ \d \w* | [A-Z]{2,} (?: - [A-Z0-9]+ )+ | [A-Za-z]+ - \d \w*
    | [0-9a-fA-F]{8} (?: - [0-9a-fA-F]{4} ){3} - [0-9a-fA-F]{12} | 0x [0-9a-fA-F]+ ) \b{end-half}";

/// Straight marks open where no word ends and close behind anything but a space, so that the end of one quote
/// and the start of the next do not quote what is between them. A straight single mark within a word is an
/// apostrophe; one that could be either (`'90s`, the dogs' bone) quotes nothing.
const QUOTES: &[&str] = &[
    r#"(?-u:\b{start-half})"[^"\s](?:[^"\n]*[^"\s])?""#,
    r"\b{start-half}'[^'\s\d](?:(?:[^'\n]|\b'\b)*[^'\ss])?'\b{end-half}",
    r"“[^“”\n]+”",
    r"«[^«»\n]+»",
    r"「[^「」\n]+」",
];
