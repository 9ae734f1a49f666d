//! The words that negate by what they mean: who refuses, avoids or seldom does a thing does not do it.
//!
//! A clause that keeps the thing and loses such a word says the opposite, as with any negation. A question that has one
//! asks for no exception: `why was the claim refused`.

/// Whole words, in lower case.
pub(super) const IMPLYING: &str = "\
    seldom rarely unlikely few little deny denies denying vetoed dismissed lack lacks lacked lacking void ceased ceases cease stopped barred banned ban \
    dont doesnt didnt isnt arent wasnt werent cant couldnt wouldnt shouldnt mustnt hasnt havent hadnt neednt aint \
    keineswegs mitnichten ungültig selten erst unterlassen unterlässt statt anstatt anstelle allenfalls \
    rarement évite évitez éviter peine \
    evite eviten evitar apenas raras raramente imposible imposibles \
    evitare impossibile impossibili raramente anziché impossível impossíveis mal tampouco \
    vermijd vermijden onmogelijk nauwelijks amper noch zelden ongeldig \
    unikaj unikać niemożliwe niemożliwy niemożliwa zamiast rzadko nieważny nieważna nieważne \
    избегайте избегать вместо вряд едва редко недействителен недействительна недействительно \
    уникайте уникати замість навряд рідко недійсний недійсна недійсне \
    vyhněte vyhýbejte zřídka neplatný neplatná neplatné namísto místo namiesto miesto vyhnite zriedka \
    undvik undvika omöjligt knappt sällan först umulig umuligt unngå undgå sjelden sjældent ogiltig ugyldig \
    imkânsız imkansız kaçının geçersiz nadiren yerine \
    مستحيل المستحيل تجنب تجنبوا قط نادرا \
    پرهیز غیرممکن به‌ندرت امتناع خودداری \
    इनकार इन्कार बचें असंभव अस्वीकार अस्वीकृत बजाय \
    vältä välttäkää mahdotonta mahdoton sijasta sijaan tuskin harvoin \
    kerülje kerüljék lehetetlen helyett alig ritkán érvénytelen \
    imposibil imposibilă evitați evitaţi abia rareori \
    αποφύγετε αδύνατο αδύνατη αντί σπάνια μόλις άκυρο άκυρη \
    מסרב מסרבת מסרבים סירב הימנעו להימנע במקום נדחה נדחתה נדחו טרם בל לעתים \
    hindari hindarilah ditolak menolak jarang batal tak chả tránh";

/// Beginnings and parts of words, and phrases, in lower case.
pub(super) const IMPLYING_STEMS: &[&str] = &[
    " refus",
    " declined to",
    " declines to",
    " declining to",
    " declined the ",
    " declined a ",
    " declined an ",
    " turned down ",
    " ruled out ",
    " voted against ",
    " avoid",
    " prevent",
    " withheld",
    " withhold",
    " refrain",
    " invalid",
    " revoke",
    " cancel",
    " overturn",
    " in lieu of",
    " exclu",
    " disallow",
    " reject",
    "verweiger",
    " weiger",
    " geweiger",
    " vermeid",
    " storniert",
    " ungültig",
    " annul",
    " à défaut de",
    " au lieu d",
    " en lugar de",
    " en vez de",
    " se niega",
    " se negó",
    " denegad",
    " anulad",
    " rifiut",
    " esclu",
    " negato",
    " negata",
    " al posto d",
    " invece d",
    " tutt'altro",
    " tutt’altro",
    " recus",
    " negado",
    " negada",
    " em vez d",
    " em lugar d",
    " in plaats van",
    " odmaw",
    " odmów",
    " wyklucz",
    "отказыва",
    "отказал",
    "отклон",
    "відмовля",
    "відмовив",
    "відхил",
    " odmítá",
    " odmítl",
    " zamítn",
    " nevztahuj",
    " vägra",
    " avslog",
    " avslag",
    " i stället för",
    " istället för",
    " i stedet for",
    " nekte",
    " nægte",
    "reddedi",
    "reddett",
    "يرفض",
    "ترفض",
    "رفض",
    "بدلا من",
    "بدلاً من",
    "به جای",
    " رد شد",
    " kieltäy",
    " hylät",
    " megtagad",
    " elutasít",
    " refuz",
    " respins",
    " în loc",
    " αρνείται",
    " αρνήθηκ",
    " απορρίφθ",
    " từ chối",
    " bác bỏ",
    " thay vì",
    " alih-alih",
    "אי אפשר",
];

/// Parts of text in scripts that are not written in words, or that write them in one with others.
pub(super) const IMPLYING_PARTS: &[&str] = &[
    "拒绝",
    "拒絕",
    "避免",
    "驳回",
    "駁回",
    "难以",
    "難以",
    "取消",
    "直到",
    "避け",
    "却下",
    "拒否",
    "対象外",
    "거부",
    "거절",
    "피하",
    "몰랐",
    "모른",
    "모릅",
    "ปฏิเสธ",
    "หลีกเลี่ยง",
    "งดเว้น",
    "งดสูบ",
    "งดใช้",
    "งดรับ",
    "งดให้",
    "งดเข้า",
    "งดจำหน่าย",
    "ไร้",
    "ปราศจาก",
    "เว้นวัน",
];
