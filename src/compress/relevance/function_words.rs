//! Words of a question that say nothing of what is asked for, in the languages that most questions are in.

use std::collections::HashSet;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::text::is_accent;

/// Function words of each language, the English ones first.
const LANGUAGES: &[&str] = &[
    "a an the is are was were be been being am do does did has have had will would can could may \
     might shall should must it its this that these those which who whom whose there he she they them his her \
     their him as also such so very just only both either however although though while when where than then \
     thus therefore hence of in on at to for by with from into onto upon and or but over under about after \
     before during between through if more most other some all any each what how why",
    "der die das den dem des ein eine einen einem einer eines und oder aber ist sind war waren wird werden wurde wurden \
     hat haben hatte kann können muss darf soll wer was wann wo wie warum welche welcher welches welchen wieviel wie \
     viel viele in im an am auf aus bei mit nach von vom vor zu zum zur für über unter durch es er sie man sich als \
     auch wenn dass",
    "le la les un une des du de d l et ou mais est sont était étaient a ont avait fut sera peut doit qui que quoi quel \
     quelle quels quelles quand où comment pourquoi combien dans en sur sous par pour avec sans à au aux ce cette ces \
     il elle ils elles on se son sa ses leur y qu c s n",
    "el la los las un una unos unas de del y o pero es son era eran fue fueron ha han había puede debe quien quién que \
     qué cual cuál cuales cuáles cuando cuándo donde dónde como cómo cuanto cuánto cuantos cuántos cuánta por para con \
     en a al se su sus lo le les este esta estos ese esa hay",
    "il lo la i gli le un uno una di del della dei delle dello e o ma è sono era erano fu ha hanno aveva può deve chi \
     che cosa quale quali quando dove come perché quanto quanti quanta in nel nella nei su sul sulla per con da dal \
     dalla a al alla si suo sua c l",
    "o a os as um uma de do da dos das e ou mas é são era eram foi foram tem têm tinha pode deve quem que qual quais \
     quando onde como porque quanto quantos quanta em no na nos nas por para com ao à se seu sua este esta esse",
    "de het een en of maar is zijn was waren wordt worden werd werden heeft hebben had kan moet mag wie wat wanneer waar \
     hoe waarom welke welk hoeveel in op aan bij met van voor naar uit over onder door te er het hij zij ze men zich \
     als ook dat dit deze die",
    "en ett den det de och eller men är var blir blev har hade kan ska skall måste vem vad när var hur varför vilken \
     vilket vilka många mycket i på av för med till från om under över genom som sig han hon man att detta denna",
    "en et den det de og eller men er var blir ble blev har hadde havde kan skal må hvem hva hvad når hvor hvordan hvorfor \
     hvilken hvilket hvilke mange mye meget i på av af for med til fra om under over gjennom gennem som seg sig at",
    "i oraz lub ale jest są był była było byli będzie ma mają może musi kto co kiedy gdzie jak dlaczego który która które \
     jaki jaka jakie ile w we na z ze do od po przy przez dla o za się to ten ta te tego czy",
    "a i nebo ale je jsou byl byla bylo byli bude má mají může musí kdo co kdy kde jak proč který která které jaký jaká \
     kolik v ve na z ze do od po při pro o za se si to ten ta",
    "ve veya ama bir bu şu o ne nedir kim kimdir kaç hangi nerede nereye nasıl niçin neden zaman mı mi mu mü mıdır midir \
     için ile de da den dan olan olarak var en çok daha gibi kadar",
    "ja tai mutta on ovat oli olivat mikä mitä missä milloin kuka miten miksi kuinka paljon monta mihin mistä jonka joka \
     jotka se ne hän tämä että kun",
    "a az egy és vagy de van vannak volt voltak lesz ki mi mit mikor hol hogyan miért melyik mennyi hány hogy is ez",
    "si sau dar este sunt era erau a au avea poate trebuie cine ce cand când unde cum care cat cât cati câți de la in în \
     pe cu din pentru prin un o lui ale al",
    "и или но а в во на с со к ко о об от из у за по для при до не это этот эта эти тот та те был была было были есть \
     кто что когда где как почему какой какая какое какие каком какого какую который которая которые сколько ли же бы его \
     её их он она они чем чего кого кому",
    "і й або але в у на з із зі до від по для при про за не це цей ця ці той був була було були є хто що коли де як чому \
     який яка яке які скільки чи його її їх він вона вони",
    "ο η το οι τα του της των τον την ένας μια ένα και ή αλλά είναι ήταν έχει έχουν ποιος ποια ποιο ποιοι τι πότε πού πως \
     πώς γιατί πόσο πόσα πόσοι σε στο στη στον στην στα από για με να που θα",
    "من في على إلى عن مع هل ما ماذا متى أين كيف لماذا كم أي أية هو هي هم التي الذي الذين هذا هذه ذلك تلك كان كانت \
     يكون أن إن قد لقد و أو ثم بعد قبل بين عند كل بعض غير",
    "של את על אל עם מן מה מי מתי איפה היכן איך כיצד למה מדוע כמה איזה איזו אילו הוא היא הם הן זה זאת היה היתה היו כי אם \
     או גם יש",
    "क्या कब कहाँ कहां कैसे क्यों कौन किस किसने किसका किसकी किसके कितना कितने कितनी कौनसा का की के को से में पर ने है हैं \
     था थी थे हो और या यह वह ये वे एक इस उस जो तक भी ही तो कर किया गया गई गए हुआ हुई",
    "که از در به با را این آن است بود شد چه چی کی کجا چرا چگونه چند کدام برای تا و یا هم می",
    "là của và hoặc nhưng có được bị đã đang sẽ ở tại trong trên với cho từ đến ai gì nào khi đâu sao bao nhiêu mấy thế \
     như các những một này đó thì mà",
    "yang di ke dari pada untuk dengan dan atau tetapi adalah ialah ini itu apa siapa kapan dimana mana bagaimana mengapa \
     berapa oleh dalam akan telah sudah",
];

/// Parts of questions in scripts that are searched by pairs of characters.
const PARTS: &[&str] = &[
    "什么时候",
    "为什么",
    "什麼",
    "什么",
    "哪里",
    "哪個",
    "哪个",
    "哪些",
    "多少",
    "怎么",
    "怎样",
    "是谁",
    "谁",
    "何时",
    "是否",
    "的",
    "吗",
    "呢",
    "でしたか",
    "ましたか",
    "ですか",
    "ますか",
    "いつ",
    "どこ",
    "なぜ",
    "どんな",
    "どの",
    "どれ",
    "いくら",
    "いくつ",
    "何",
    "誰",
    "を",
    "습니까",
    "습니다",
    "입니까",
    "입니다",
    "합니까",
    "합니다",
    "됩니까",
    "됩니다",
    "인가요",
    "언제",
    "어디",
    "무엇",
    "누가",
    "누구",
    "얼마나",
    "얼마",
    "어떻게",
    "어떤",
    "무슨",
    "까지",
    "에서",
    "으로",
    "เมื่อไหร่",
    "เมื่อไร",
    "ที่ไหน",
    "อะไร",
    "ใคร",
    "อย่างไร",
    "ทำไม",
    "เท่าไหร่",
    "เท่าไร",
    "หรือไม่",
    "กี่",
];

static SETS: LazyLock<Vec<HashSet<String>>> = LazyLock::new(|| {
    let set = |words: &&str| words.split_whitespace().map(plain).collect();
    LANGUAGES.iter().map(set).collect()
});

/// Returns a question without its function words. In scripts that put no spaces between words it is what only asks that is
/// left out.
pub(super) fn left_out(question: &str) -> String {
    let words = of_question(question);
    let says = |word: &&str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric() && !is_combining_mark(c));
        !words.contains(&plain(word).to_lowercase())
    };
    let left = question.split_whitespace().filter(says).collect::<Vec<_>>().join(" ");
    if left.is_ascii() { left } else { PARTS.iter().fold(left, |left, part| left.replace(part, " ")) }
}

/// The function words of the language that has most of a question's words among its own; those of English where none has.
fn of_question(question: &str) -> &'static HashSet<String> {
    let plain = plain(question).to_lowercase();
    let words: Vec<&str> =
        plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let hits = |set: &&HashSet<String>| words.iter().filter(|word| set.contains(**word)).count();
    // Of several with as many, the first is meant.
    SETS.iter().rev().max_by_key(hits).unwrap_or(&SETS[0])
}

/// Returns `text` in compatibility form, without accents in scripts whose marks are only accents.
pub(super) fn plain(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    text.nfkd().filter(|&c| !is_accent(c)).nfc().collect()
}

/// Returns whether `word`, in lower case, is an English word that says little by itself.
pub(in crate::compress) fn is_function_word(word: &str) -> bool {
    SETS[0].contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_of_a_question_is_told_by_its_words() {
        for (question, function, content) in [
            ("When did the guard die?", "the", "die"),
            ("Wann ist die Brücke gebaut worden?", "die", "brucke"),
            ("¿Cuándo se abrió el puente?", "cuando", "puente"),
            ("Когда открыли мост?", "когда", "мост"),
            ("متى افتتح الجسر؟", "متى", "الجسر"),
            ("पुल कब खुला था?", "कब", "खुला"),
        ] {
            let words = of_question(question);
            let [function, content] = [function, content].map(plain);
            assert!(words.contains(&function) && !words.contains(&content), "{question}");
        }
        assert!(of_question("Xylophon?").contains("the"));
        assert_eq!(left_out("온수가 언제 나오지 않습니까?"), "온수가   나오지 않 ?");
        assert_eq!(left_out("Wann ist die alte Brücke gebaut worden?"), "alte Brücke gebaut worden?");
        assert_eq!(left_out("What is in src/in/the.rs?"), "src/in/the.rs?");
        assert_eq!(left_out("पुल कब खुला था?"), "पुल खुला");
    }

    #[test]
    fn function_words_are_whole_words() {
        assert!(is_function_word("the") && is_function_word("through"));
        assert!(!is_function_word("th") && !is_function_word("house") && !is_function_word(""));
    }
}
