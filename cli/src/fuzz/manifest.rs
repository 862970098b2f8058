//! `ferry fuzz manifest`: job descriptions. The scheduler is the cluster's own.

use clap::{Args, ValueEnum};

/// Options of `ferry fuzz manifest`.
#[derive(Args)]
#[command(
    after_help = "Each part writes files of its own into one directory: sum it up with `ferry fuzz merge DIR`. A part that is \
                  started again goes on where it was.\n\nExamples:\n  ferry fuzz manifest k8s riscv64 --image \
                  registry.example/ferry --claim results --shards 64 | kubectl apply -f -\n  ferry fuzz manifest slurm \
                  aarch64 --shards 128 --directory /scratch/fuzz | sbatch"
)]
pub(super) struct ManifestArgs {
    /// For which kind of cluster
    #[arg(value_enum)]
    cluster: Cluster,
    /// The guest architecture
    #[arg(value_name = "ARCH")]
    arch: String,
    /// Into how many parts the campaign is divided
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..))]
    shards: u64,
    /// The campaign's seed
    #[arg(long, value_name = "S", default_value = "1", value_parser = super::number)]
    seed: u64,
    /// Seconds that each part runs
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    time: u64,
    /// What the interpreter is compared with
    #[arg(long, value_name = "WHAT", default_value = "tiers")]
    against: String,
    /// Kubernetes: the image, whose command is ferry
    #[arg(long, value_name = "IMAGE", default_value = "ferry:latest")]
    image: String,
    /// Kubernetes: the volume claim (ReadWriteMany) for the results
    #[arg(long, value_name = "CLAIM", default_value = "ferry-fuzz")]
    claim: String,
    /// Where the results are: on a file system that all nodes share
    #[arg(long, value_name = "DIR", default_value = "/results")]
    directory: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Cluster {
    /// An Indexed Job
    K8s,
    /// A job array
    Slurm,
}

impl ManifestArgs {
    /// The description.
    pub(super) fn text(&self) -> String {
        match self.cluster {
            Cluster::K8s => self.kubernetes(),
            Cluster::Slurm => self.slurm(),
        }
    }

    fn options(&self) -> Vec<String> {
        let (seed, time) = (format!("{:#x}", self.seed), self.time.to_string());
        let words = ["fuzz", &self.arch, "--seed", &seed, "--time", &time, "--against"];
        let rest = [&self.against, "--coverage", "--resume", "--out", &self.directory];
        words.into_iter().chain(rest).map(str::to_owned).collect()
    }

    /// Status 1 says that something was found: the part is done nevertheless.
    fn kubernetes(&self) -> String {
        let Self { arch, shards, image, claim, directory, .. } = self;
        let quoted: Vec<String> = self.options().iter().map(|word| format!("{word:?}")).collect();
        let args = quoted.join(", ");
        format!(
            r#"apiVersion: batch/v1
kind: Job
metadata:
  name: ferry-fuzz-{arch}
spec:
  completionMode: Indexed
  completions: {shards}
  parallelism: {shards}
  backoffLimitPerIndex: 3
  maxFailedIndexes: {shards}
  podFailurePolicy:
    rules:
      - action: FailIndex
        onExitCodes:
          containerName: ferry
          operator: In
          values: [1]
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: ferry
          image: {image:?}
          args: [{args}]
          env:
            - name: FERRY_FUZZ_SHARDS
              value: "{shards}"
          resources:
            requests: {{cpu: "1", memory: 512Mi}}
          volumeMounts:
            - name: results
              mountPath: {directory:?}
      volumes:
        - name: results
          persistentVolumeClaim:
            claimName: {claim:?}
"#
        )
    }

    fn slurm(&self) -> String {
        let Self { arch, shards, time, .. } = self;
        let quote = |word: &String| match word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./,:".contains(c))
        {
            true => word.clone(),
            false => format!("'{}'", word.replace('\'', r"'\''")),
        };
        let options: Vec<String> = self.options().iter().map(quote).collect();
        // Minutes for the last batch and what it finds.
        let minutes = time / 60 + 15;
        let last = shards - 1;
        format!(
            "#!/bin/sh
#SBATCH --job-name=ferry-fuzz-{arch}
#SBATCH --array=0-{last}
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
#SBATCH --time={minutes}
#SBATCH --requeue
export FERRY_FUZZ_SHARDS={shards}
ferry {}
# Status 1 says that something was found.
status=$?
[ $status -le 1 ]
",
            options.join(" ")
        )
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Wrapped {
        #[command(flatten)]
        args: ManifestArgs,
    }

    fn text(words: &str) -> String {
        Wrapped::parse_from(words.split(' ')).args.text()
    }

    #[test]
    fn every_part_of_a_job_is_a_part_of_the_campaign() {
        let text = text("x k8s riscv64 --shards 4 --image reg/ferry");
        for line in
            ["completionMode: Indexed", "completions: 4", "value: \"4\"", "image: \"reg/ferry\""]
        {
            assert!(text.contains(line), "{text}");
        }
        assert!(text.contains(r#"args: ["fuzz", "riscv64", "--seed", "0x1""#), "{text}");
    }

    #[test]
    fn arrays_count_from_zero_and_quote_what_needs_it() {
        let text = text("x slurm aarch64 --shards 8 --time 600 --directory /a$b");
        assert!(text.contains("--array=0-7\n") && text.contains("--time=25\n"), "{text}");
        assert!(text.contains("--out '/a$b'\n"), "{text}");
    }
}
