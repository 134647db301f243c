//! The plugins of this workspace, linked together: `use friction as _;` brings them into a binary of
//! one's own.
use friction_behavior as _;
use friction_conditions as _;
use friction_gemma_scope as _;
use friction_logit_lens as _;
use friction_messages as _;
use friction_mmlu_pro as _;
use friction_organism as _;
use friction_original as _;
use friction_patching as _;
use friction_probes as _;
use friction_questions as _;
use friction_replay as _;
use friction_residual as _;
use friction_scripted as _;
use friction_steering as _;
use friction_topics as _;
