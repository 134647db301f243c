//! The words in the organisms' questions: 14 subjects of 24 plain words each.

/// The subjects in alphabetical order, each with its words separated by spaces.
pub const SUBJECTS: [(&str, &str); 14] = [
    (
        "birds",
        "wren finch crow heron gull owl swan stork robin lark raven thrush dove magpie kestrel plover curlew puffin quail sparrow starling osprey bittern egret",
    ),
    (
        "boats",
        "canoe ketch sloop barge ferry kayak dinghy punt schooner galley raft yacht tanker trawler cutter brig junk dhow frigate gondola lugger skiff yawl clipper",
    ),
    (
        "cloths",
        "linen velvet denim tweed satin silk muslin felt corduroy flannel calico lace damask gauze serge chiffon taffeta canvas poplin jersey brocade gingham organza wool",
    ),
    (
        "colours",
        "scarlet indigo ochre teal amber violet crimson olive maroon beige turquoise lilac azure ivory magenta russet taupe mauve khaki coral cyan sepia umber lavender",
    ),
    (
        "dances",
        "waltz polka tango foxtrot minuet samba rumba bolero jig reel mazurka gavotte quickstep flamenco salsa mambo galop quadrille hornpipe fandango sarabande bourree ballet hula",
    ),
    (
        "fruits",
        "apple plum cherry quince mango papaya fig date lemon lime pear peach apricot melon guava banana kiwi grape medlar damson lychee pomelo currant nectarine",
    ),
    (
        "games",
        "chess draughts dominoes bridge poker rummy whist hopscotch marbles darts skittles croquet bowls tag charades backgammon solitaire cribbage snooker billiards quoits conkers mahjong go",
    ),
    (
        "gems",
        "ruby opal topaz garnet agate jasper sapphire emerald beryl onyx zircon peridot amethyst tourmaline citrine jade spinel diamond pearl moonstone malachite lapis quartz aquamarine",
    ),
    (
        "herbs",
        "basil thyme sage mint parsley dill fennel chervil oregano tarragon rosemary marjoram lovage sorrel borage hyssop chives coriander savory bay cress rue tansy verbena",
    ),
    (
        "instruments",
        "flute oboe cello viola harp lute drum tuba horn piano organ guitar banjo bassoon clarinet trumpet zither lyre cornet fiddle trombone bugle cymbal piccolo",
    ),
    (
        "metals",
        "iron copper zinc tin lead nickel silver gold cobalt chromium tungsten titanium platinum mercury sodium lithium barium radium gallium indium bismuth cadmium osmium rhodium",
    ),
    (
        "tools",
        "hammer chisel plane rasp file saw drill wrench pliers mallet awl gimlet vice clamp trowel spade rake hoe scythe sickle axe adze auger crowbar",
    ),
    (
        "trees",
        "oak ash elm beech birch maple willow poplar cedar pine spruce larch yew alder hazel hawthorn rowan chestnut sycamore walnut linden juniper cypress holly",
    ),
    (
        "weather",
        "rain snow hail sleet fog mist frost thunder drizzle gale breeze storm blizzard squall monsoon drought dew haze cyclone tornado shower thaw sunshine rime",
    ),
];

/// Number of words of each subject.
pub const WORDS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn each_subject_has_its_words() {
        for (name, words) in SUBJECTS {
            let mut all: Vec<&str> = words.split(' ').collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), WORDS, "{name}");
        }
        let mut words: Vec<&str> = SUBJECTS.iter().flat_map(|(_, w)| w.split(' ')).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), SUBJECTS.len() * WORDS, "no word belongs to two subjects");
        assert!(SUBJECTS.is_sorted());
    }
}
