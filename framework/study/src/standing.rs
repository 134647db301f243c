//! What was named before the run stays confirmatory only where the run was graded as it was made. The rule is the same for
//! all analyzers. One of the primary contrast says it itself, since it knows what of its findings is that contrast.
use friction_core::{Analyzer, Block, Body, Findings, Status};
use friction_store::Grading;

/// The gradings after the run that replaced what an analyzer's verdicts rest on, in words.
pub(crate) fn replaced(analyzer: &dyn Analyzer, gradings: &[Grading]) -> Vec<String> {
    let outcomes = analyzer.judges();
    gradings.iter().filter(|g| outcomes.iter().any(|o| g.replaces(o))).map(Grading::words).collect()
}

/// Makes verdicts, and whatever else was named before the run, exploratory; returns whether that changes anything.
pub(crate) fn demote(findings: &mut Findings) -> bool {
    let named = |b: &&mut Block| {
        let judges = matches!(&b.body, Body::Verdict(_)) && b.status != Some(Status::Exploratory);
        judges || b.status == Some(Status::Confirmatory)
    };
    let mut changed = false;
    for block in findings.blocks.iter_mut().filter(named) {
        block.status = Some(Status::Exploratory);
        changed = true;
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use friction_core::{Estimate, Needs, Outcome, Result, RunReader, Says, Verdict};

    struct Judge(Vec<Outcome>);
    impl Analyzer for Judge {
        fn needs(&self) -> Needs {
            Needs { outcomes: self.0.clone(), ..Needs::default() }
        }
        fn analyze(&self, _: &dyn RunReader, _: &mut Findings) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_verdict_on_what_was_graded_again_is_exploratory() {
        let graded = |what: &str, scores: bool, metric: &str| Grading {
            what: what.into(),
            scores,
            metrics: vec![metric.into()],
            ..Grading::default()
        };
        let all = [graded("judged", true, "judge"), graded("joined", false, "length")];
        let of = |outcomes: Vec<Outcome>| replaced(&Judge(outcomes), &all);
        assert_eq!(of(vec![Outcome::LogOdds, Outcome::Score]), ["judged"]);
        assert_eq!(of(vec![Outcome::Metric("length".into())]), ["joined"]);
        assert!(of(vec![Outcome::LogOdds, Outcome::Reading("patch.own".into())]).is_empty() && of(vec![]).is_empty());
    }

    #[test]
    fn all_that_was_named_before_the_run_is_demoted_once() {
        let mut out = Findings::default();
        out.say("words");
        out.verdict(Verdict::new("Best", "it rises", Says::Reached)).confirmatory();
        out.verdict(Verdict::new("Good", "it falls", Says::CannotBeTold));
        out.add(Estimate::untold("change", "points")).confirmatory();
        assert!(demote(&mut out));
        let told: Vec<Option<Status>> = out.blocks.iter().map(|b| b.status).collect();
        let exploratory = Some(Status::Exploratory);
        assert_eq!(told, [None, exploratory, exploratory, exploratory]);
        assert!(!demote(&mut out));
    }
}
