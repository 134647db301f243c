//! Word lists: words that declare an answer, words that may come between them and the letter, and words that take an
//! answer back.
//!
//! All words are in lower case. A word can be added to any list without another change.
use std::collections::HashSet;
use std::sync::LazyLock;

/// A set of words, written as one text with white space between them.
pub(super) type Words = LazyLock<HashSet<&'static str>>;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {$(
        $(#[$doc])*
        pub(super) static $name: Words = LazyLock::new(|| $text.split_whitespace().collect());
    )*};
}

words! {
    /// Nouns that name the answer.
    ANSWERS = "
        answer answers ans answer's antwort antworten respuesta respuestas réponse reponse réponses resposta
        respostas risposta antwoord svar svaret vastaus odpowiedź odpověď odpoveď odgovor válasz răspuns răspunsul
        raspuns απάντηση ответ відповідь отговор cevap yanıt jawaban jawapan javob إجابة الإجابة الجواب جواب پاسخ
        תשובה התשובה उत्तर जवाब উত্তর án jawabannya பதில் lösung solución solução soluzione solution conclusion
        verdict answerkey
    ";
    /// Nouns that name an option. They declare an answer with "is" or a colon; "option B" alone declares nothing.
    OPTIONS = "
        correction output option choice letter selection pick guess response result decision prediction key opción opcion opção
        opzione lettre letra lettera buchstabe alternativa alternative вариант буква keuze choix wahl seçenek
        pilihan final
    ";
    /// Adjectives that may replace the noun: "Correct: B", "the right one is B".
    RIGHT = "
        correct right best richtig richtige correcta correcto correcte correta correto corretta corretto bonne
        juste exacta правильный верный верно doğru benar accurate proper
    ";
    /// Words before a noun which show that it does not mean the reply's own answer: "wrong answer", "her answer".
    WRONG = "
        trap second wrong incorrect false worst other another previous earlier initial original tempting distractor bad
        falsche incorrecta mauvaise least student's user's their his her common popular non not
    ";
    /// Words that may precede the noun within its noun phrase.
    BEFORE = "
        the my our your a an this its final only most likely probable real true actual single appropriate suitable
        plausible possible multiple mc short very full complete die der das la el le il o de meine mi ma mia minha
        endgültige finale logical simplest closest better one
    ";
    /// Words that may come between the noun and the verb or colon that joins it to the letter.
    BETWEEN = "
        works fits here to for of in from among amongst this the that these those question problem quiz item prompt options
        choices given above below you i we my our your choice option letter key final number no nr choose chose
        pick select selected chosen would give i'd i'll correct best right therefore thus then hence so now and get
        explanation correcta correcto correcte correta corretta richtig finale finalement à a la pregunta frage
        auf diese esta cette exacta opción opcion lettre letra buchstabe only response line as follows đúng benar
    ";
    /// Verbs that join a noun to the letter.
    IS = "
        is are was were be ist lautet sind wäre es est sont serait sería é è seria sarebbe sono jest je är er blir
        on это является є adalah ialah là είναι هي هو היא है dir equals
    ";
    /// Words of longer verb phrases: "would be", "seems to be", "has to be".
    MODAL = "
        would should must will can could may might shall has have had ought needs seems seem appears turns comes
        looks remains becomes happens corresponds reads to only out as like been being then therefore thus clearly
        likely probably most also indeed hence obviously definitely certainly i believe think
    ";
    /// Words that may come between the verb or colon and the letter.
    HEDGES = "
        okay ok yes well thus therefore likely most probably clearly definitely certainly hence then indeed simply just actually
        obviously surely presumably apparently perhaps maybe possibly evidently undoubtedly consequently so again
        now still to be in fact of course going given by following option choice letter answer the correct best
        right one labeled labelled marked number either both definitively necessarily logically quite very almost
        without doubt is as follows unambiguously really always only opción opcion opção opzione lettre letra
        lettera buchstabe la el le die der das il o l'option wahrscheinlich also daher folglich donc probablement
        por tanto entonces probablemente portanto provavelmente quindi dunque вариант буква somit alternativa
        first second third fourth fifth sixth last final a an named called highly choosing statement
    ";
    /// Words after "I" in a statement of opinion, where "I" is the pronoun and not the letter.
    OPINION = "believe think guess suppose would say feel am choose pick must can expect reckon conclude";
    /// Words of negation.
    NOT = "
        not isn't wasn't aren't cannot can't couldn't won't never nicht kein keine no non não pas n'est neither
        nor не hardly unlikely doesn't don't didn't wouldn't shouldn't
    ";
    /// Words for "but" after a "not".
    BUT = "but rather sondern sino mais ma mas instead а";
    /// Words that make a clause hypothetical.
    IF = "
        if whether suppose supposing assume assuming unless imagine pretend doubt ob wenn si se если were until
        whatever
    ";
    /// Words that, shortly before the noun, show that the answer is an error, past, or somebody else's.
    THOUGHT = "
        thought guessed assumed suspected initially wrongly mistakenly incorrectly tempting tempted why claims
        claimed says said believed believes thinks might could may
    ";
    /// Words of opinion that deny what follows if "not" precedes them.
    DENIED = "think believe sure certain say mean know agree imply true correct case convinced see";
    /// Words that may follow a declared letter.
    AFTER = "
        because since as due which given based according but rather instead so hence thus therefore here though
        although while whereas not by then again too indeed who weil denn da porque ya car parce puisque perché
        poiché pois потому так where why above below from option choice
    ";
    /// Words of [`AFTER`] and others before which "I" is the pronoun, if one of [`SELF`] follows them: "I therefore chose".
    ASIDE = "
        therefore thus hence then too indeed instead rather again so here not also however consequently personally
        finally still
    ";
    /// Verbs of which "I" is the subject.
    SELF = "
        believe think guess suppose would say feel am choose pick must can expect reckon conclude have had was will
        could cannot do did chose picked went go looked found considered ruled see saw know want wonder wondered
        concluded computed compared tried thought decided need should opt settle lean select selected answer answered
        say said assume assumed turned checked read take took
    ";
    /// Words after "car" that show it to be French for "because", and not the vehicle.
    CAUSE = "le la les il elle ils elles on ce cela un une cette cet son sa ses nous je tout en dans seul seule";
    /// Words after "given" that start a condition: "A, given that …"; not "a given body".
    CONDITION = "that the this these those how its our what it all only their your his her";
    /// Words that end the noun phrase after "best" or "right": what follows them speaks of something else.
    CLAUSE = "
        because since as but while whereas although though if unless than that which and or nor when where why who
        against unlike it this they you some many people students
    ";
    /// Words after "and" that start a new clause, so that no second answer follows.
    GOES_ON = "the this that it we not here so because is they you my hope there";
    /// Words that join two letters.
    JOIN = "and or und oder y e et ou plus nor o и или 和 或 与 及 と vs versus then";
    /// Verbs after a letter that talk about it and do not give it as the answer.
    SPOKEN_OF = "
        is isn't was wasn't are aren't would could can cannot can't does doesn't do has have had may might will
        won't should must seems looks describes says states refers ist est es represents contradicts fails
    ";
    /// Verbs of choice.
    CHOOSE = "
        choose chose choosing pick picked picking select selected selecting wähle elijo choisis escolho scelgo
        conclude выбираю
    ";
    /// Words before a verb of choice which show that the choice is somebody else's, or none.
    OTHERS = "
        some often others may you they people students many one if not don't never can't cannot wouldn't didn't who might could should
        to he she
    ";
    /// Words that introduce a conclusion.
    SO = "
        so therefore thus hence consequently ergo elimination somit daher deshalb folglich donc quindi dunque portanto luego
        所以 因此 故
    ";
    /// Words with which a reply may begin before it answers.
    GREETINGS = "
        sure ok okay certainly actually absolutely yes yeah well great alright right hmm hm thanks good nice hello hi
        course of question no problem easy understood got it thank you there this is here's here my
    ";
    /// Adverbs that may precede a letter, or follow it at the end of a line.
    MAYBE = "probably likely definitely maybe perhaps clearly obviously surely certainly presumably possibly";
    /// Words that take back the answer before them.
    CORRECTION = "wait actually sorry correction rather no oops mistake hmm scratch";
    /// Words that start another question when they begin a line.
    QUESTIONS = "question frage pregunta pergunta domanda вопрос q 问题 問題 题目 problem exercise user human soru 질문 문제";
    /// Words that may precede a letter that is said to be right.
    SUBJECT = "
        option choice answer statement letter so thus therefore hence that then because since think believe say only but
        clearly conclude obviously means as opción opcion opção opzione choices why and or consequently definitely
        indeed thing find
    ";
    /// Words that may come between the verb and what is said of the letter.
    ADVERBS = "
        clearly therefore definitely the indeed thus obviously most likely probably my our your then hence
        certainly only single be to la die le el il a o final actually appropriate suitable accurate logical
        plausible really also equally
    ";
    /// Adjectives that mean "right" after "most": "most plausible".
    MOST = "plausible likely probable reasonable appropriate suitable accurate logical convincing fitting";
    /// Words of a condition about the choice itself, not about the question: "if I had to guess".
    FORCED = "guess answer say bet forced pressed pushed decide commit choose pick select summarize you";
    /// Nouns of "in short", "in summary" and the like.
    SHORT = "short brief summary nutshell sum";
    /// Second words of species' names, as in "E. coli".
    SPECIES = "
        coli elegans aureus cerevisiae melanogaster thaliana sapiens subtilis pneumoniae pylori tuberculosis falciparum
        vivax albicans botulinum tetani difficile perfringens cholerae histolytica musculus norvegicus rerio laevis
        faecalis typhi anthracis erectus habilis neanderthalensis afarensis
    ";
    /// Nouns with which a letter is said to be right: "B is the answer".
    SAID = "
        answer choice option one response solution pick antwort respuesta réponse resposta risposta opción opção
        letter
    ";
    /// Words that open a sentence: after "B." they start a sentence and not a name.
    OPENERS = "
        the this that it because therefore since in as a an to for we i you here hence thus so let explanation
        reason reasoning done correct yes note please if all other others option options both none there they
        these when with by from thanks good is
    ";
    /// LaTeX commands whose argument is the content.
    FONTS = "
        text textbf textit textrm textsf texttt textnormal mathbf mathrm mathit mathsf mathtt mathnormal mathcal
        mathbb operatorname emph underline mbox hbox bm boldsymbol pmb ensuremath textcolor color large Large
        displaystyle bf rm it sf tt left right big Big bigl bigr huge Huge centering boldmath bfseries
    ";
    /// LaTeX commands that draw a frame around an answer.
    BOXES = "boxed fbox framebox Boxed mathbox colorbox";
    /// LaTeX commands that leave a space.
    SPACES = "quad qquad enspace thinspace space hfill newline par";
    /// HTML that formats.
    FORMAT = "b strong i em u span font mark code big small center sub sup tt s/ kbd q ins bold";
    /// HTML that ends a line.
    BLOCKS = "br p div li ul ol tr td th table hr h1 h2 h3 pre s eos end_of_turn";
    /// Tags around an answer.
    TAGS = "
        answer ans final_answer final-answer finalanswer final choice option response result solution selection
        output correct_answer conclusion letter
    ";
    /// Tags around the model's thoughts before its answer.
    THOUGHTS = "think thinking thought thoughts reasoning scratchpad reflection analysis";
}

/// Ordinals in order.
pub(super) const ORDER: &[&str] =
    &["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];

/// Verbs that choose with a preposition: "go with B".
pub(super) fn chooses_with(verb: &str, preposition: &str) -> bool {
    match verb {
        "go" | "going" | "went" => matches!(preposition, "with" | "for"),
        "opt" | "opting" | "vote" => preposition == "for",
        "settle" => preposition == "on",
        "stick" | "sticking" => preposition == "with",
        "confident" => preposition == "in",
        "corresponds" | "corresponding" => preposition == "to",
        "lead" | "leads" | "leading" | "points" | "pointing" => preposition == "to",
        "lean" | "leaning" => matches!(preposition, "to" | "toward" | "towards"),
        _ => false,
    }
}

/// Nouns and verbs that declare an answer in scripts without spaces. They may be part of a longer token.
pub(super) const CJK_NOUNS: &[&str] = &[
    "答案",
    "正解",
    "解答",
    "回答",
    "正确选项",
    "正確選項",
    "正确的是",
    "正確的是",
    "选项是",
    "選項是",
    "应选",
    "故选",
    "選擇",
    "选择",
    "应该选",
    "所以选",
    "选",
    "選",
    "정답",
    "답은",
    "답",
    "답변",
    "คำตอบ",
    "答",
];

/// Parts of a token that deny or ask, in such scripts.
pub(super) const CJK_NOT: &[&str] = &["不是", "不", "错误", "錯誤", "아니", "ない", "不选", "不對", "吗", "何", "什么"];

/// Beginnings of the token that may follow a letter, in such scripts.
pub(super) const CJK_AFTER: &[&str] = &[
    "です",
    "だ",
    "である",
    "입니다",
    "이다",
    "번",
    "項",
    "项",
    "选项",
    "選項",
    "因为",
    "因為",
    "가",
    "이",
    "。",
    "でしょう",
    "ですね",
    "을",
    "를",
    "正确",
    "正確",
];
