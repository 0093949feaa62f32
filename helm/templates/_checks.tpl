{{/*
What no schema can say: values that do not agree with each other. deployer refuses the same, in
values.py, render.py and, for the job, party/agreement/job.py. The argument: (list $ parties).
*/}}
{{- define "kit.check" -}}
{{- $values := (first .).Values -}}
{{- if eq (int $values.ports.party) (int $values.ports.status) -}}
{{- fail "ports: party and status are the same" -}}
{{- end -}}
{{- if and $values.demo.enabled $values.certificates.certManager.issuerRef.name -}}
{{- fail "certificates.certManager: the demo makes its keys itself; set demo.enabled to false" -}}
{{- end -}}
{{- $seen := dict -}}
{{- range $party := last . -}}
{{- if and (not $party.settings.address) (gt (len $party.host) 253) -}}
{{- fail (printf "the name of %s's pod in DNS has %d characters, and at most 253 are allowed; take a shorter name, namespace or clusterDomain" $party.role (len $party.host)) -}}
{{- end -}}
{{- $address := include "kit.spelled" (lower $party.address) -}}
{{- with get $seen $address -}}
{{- fail (printf "%s and %s have one address, %s" . $party.role $address) -}}
{{- end -}}
{{- $_ := set $seen $address $party.role -}}
{{- include "kit.checkVolume" (list $values $party) -}}
{{- end -}}
{{- include "kit.checkJob" (include "kit.job" (first .) | fromJson) -}}
{{- $names := list -}}
{{- range $n, $job := include "kit.queue" (first .) | fromJsonArray -}}
{{- if has $job.name $names -}}{{- fail (printf "jobs: two have the name %q" $job.name) -}}{{- end -}}
{{- $names = append $names $job.name -}}
{{- $start := dig "training" "start" "" $job | toString -}}
{{- if and $values.jobs (eq $start "model") (not $job.kept) -}}
{{- fail "jobs: a job that begins from a former model (training.start) is not done in a queue; put it alone under job" -}}
{{- end -}}
{{- if and $values.demo.enabled (include "kit.scores" $job) -}}
{{- fail "demo.enabled: the demo has no model to score by; set demo.enabled to false" -}}
{{- end -}}
{{- if $values.jobs -}}
{{- if hasKey (index $values.jobs $n) "align" -}}
{{- if not (include "kit.scores" $job) -}}
{{- fail (printf "jobs.%d.align: the rows of a list's trainings are matched alike; say it in job" $n) -}}
{{- end -}}
{{- $own := (index $values.jobs $n).align -}}
{{- range $holder := list "alice" "bob" -}}
{{- if ne (include "kit.identifier" (list $own $holder)) (include "kit.identifier" (list $values.job.align $holder)) -}}
{{- fail (printf "jobs.%d.align.key: the tables of a list have the identifiers that job names; say the same in job.align" $n) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- include "kit.checkJob" $job -}}
{{- if or $job.kept (eq (toString $job.result) "kept") (eq (len $start) 64) -}}
{{- include "kit.checkKept" (dict "values" $values "job" $job "parties" (last $)) -}}
{{- end -}}
{{- range $holder := list "alice" "bob" -}}
{{- range $column := get (include "kit.features" $job | fromJson) $holder -}}
{{- if not (has $column (get (include "kit.features" $values.job | fromJson) $holder)) -}}
{{- fail (printf "jobs.%d.features: %q is not among the columns that job says %s's table has; name it in job.features too" $n $column $holder) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The names of the columns that identify a holder's rows: (list $align $holder). */}}
{{- define "kit.identifier" -}}
{{- $key := dig "key" (list) (first . | default dict) -}}
{{- if kindIs "map" $key -}}{{- $key = get $key (last .) -}}{{- end -}}
{{- if not (kindIs "slice" $key) -}}{{- $key = list $key -}}{{- end -}}
{{- $names := list -}}
{{- range $column := $key -}}
{{- if kindIs "map" $column -}}{{- $column = $column.column -}}{{- end -}}
{{- $names = append $names $column -}}
{{- end -}}
{{- $names | toJson -}}
{{- end }}

{{/* The features of a job, by holder. */}}
{{- define "kit.features" -}}
{{- $features := .features -}}
{{- if not (kindIs "map" $features) -}}{{- $features = dict "alice" $features -}}{{- end -}}
{{- dict "alice" ($features.alice | default list) "bob" ($features.bob | default list) | toJson -}}
{{- end }}

{{/* An address in one spelling: an IPv6 one with all of its eight groups, without leading zeros. */}}
{{- define "kit.spelled" -}}
{{- $host := regexFind "^\\[[0-9a-f:]+\\]" . | trimAll "[]" -}}
{{- if $host -}}
{{- $halves := splitList "::" $host -}}
{{- $groups := splitList ":" (first $halves) -}}
{{- if eq (len $halves) 2 -}}
{{- $groups = without $groups "" -}}
{{- $right := without (splitList ":" (last $halves)) "" -}}
{{- range until (int (sub 8 (add (len $groups) (len $right)))) -}}{{- $groups = append $groups "0" -}}{{- end -}}
{{- $groups = concat $groups $right -}}
{{- end -}}
[{{ range $i, $group := $groups }}{{ if $i }}:{{ end }}{{ regexReplaceAll "^0+(.)" $group "${1}" }}{{ end }}]{{ regexFind ":[0-9]+$" . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end }}

{{/* Where a party's table is: on a volume or in Secrets. The argument: (list $values $party). */}}
{{- define "kit.checkVolume" -}}
{{- $values := first . -}}
{{- with last . -}}
{{- if and .tableVolume.existingClaim .tableVolume.size -}}
{{- fail (printf "%s.tableVolume: either existingClaim or size" .role) -}}
{{- end -}}
{{- if and .tableVolume.storageClass (not .tableVolume.size) -}}
{{- fail (printf "%s.tableVolume: storageClass goes with size" .role) -}}
{{- end -}}
{{- if and .tableClaim (or .settings.tableSecret (ne (int .settings.tableParts) 8)) -}}
{{- fail (printf "%s.tableVolume: the table is on a volume or in Secrets; leave out tableSecret and tableParts, or tableVolume" .role) -}}
{{- end -}}
{{- if and .tableClaim $values.demo.enabled -}}
{{- fail (printf "demo.enabled: the demo's tables are in Secrets, but %s's is on a volume; set demo.enabled to false" .role) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The job's columns and rows. */}}
{{- define "kit.checkJob" -}}
{{- $features := .features -}}
{{- if not (kindIs "map" $features) -}}{{- $features = dict "alice" $features -}}{{- end -}}
{{- $label := .label -}}
{{- if not (kindIs "map" $label) -}}{{- $label = dict "bob" $label -}}{{- end -}}
{{- $names := concat (get $features "alice" | default list) (get $features "bob" | default list) -}}
{{- $labels := compact (list (get $label "alice") (get $label "bob")) -}}
{{- if not $names -}}{{- fail "job.features: no holder has any" -}}{{- end -}}
{{- if ne (len $names) (len (uniq $names)) -}}{{- fail "job.features: one stands more than once" -}}{{- end -}}
{{- if include "kit.scores" . -}}
{{- include "kit.checkScores" (dict "job" . "features" $features "labels" $labels) -}}
{{- else if ne (len $labels) 1 -}}
{{- fail "job.label: it is the column of one holder, alice or bob" -}}
{{- end -}}
{{- if and .align (not (include "kit.scores" .)) -}}
{{- if eq (toString (get .align "join")) "left" -}}{{- fail "job.align.join: left: a training takes the rows that both have; take it out" -}}{{- end -}}
{{- end -}}
{{- if and $labels (has (first $labels) $names) -}}
{{- fail (printf "job.label: %q is also one of the features" (first $labels)) -}}
{{- end -}}
{{- range $name := keys .columns | sortAlpha -}}
{{- if not (or (has $name $names) (has $name $labels)) -}}
{{- fail (printf "job.columns: %q is neither a feature nor the label" $name) -}}
{{- end -}}
{{- end -}}
{{- range $holder := list "alice" "bob" -}}
{{- if not (or (get $features $holder) (get $label $holder)) -}}
{{- fail (printf "job.features: %s holds neither features nor the label, so that the other can train alone" $holder) -}}
{{- end -}}
{{- end -}}
{{- $batch := dig "training" "batch_size" 0 . | int64 -}}
{{- if gt $batch (int64 .rows) -}}
{{- fail (printf "job.training.batch_size: %d is more than rows (%d)" $batch (int64 .rows)) -}}
{{- end -}}
{{- end }}

{{/* Where parts of a model are that is kept or opened. The argument: values, job and parties. */}}
{{- define "kit.checkKept" -}}
{{- $kept := eq (toString .job.result) "kept" -}}
{{- if .job.kept -}}
{{- if or $kept (eq (toString .job.result) "nobody") -}}
{{- fail "job.kept: nobody would receive the model; say who does with result" -}}
{{- end -}}
{{- if not (and (kindIs "invalid" .job.evaluation) (kindIs "invalid" .job.statistics)) -}}
{{- fail "job.kept: no row is looked at where a model is opened; take out evaluation and statistics" -}}
{{- end -}}
{{- end -}}
{{- range .parties -}}
{{- if and .settings.enabled (not .settings.state.existingClaim) -}}
{{- if not $.values.storage.enabled -}}
{{- fail (printf "job.result: %s's part of a kept model is on its volume, and it has none; set storage.enabled to true, or %s.state.existingClaim" .role .role) -}}
{{- end -}}
{{- if or $.values.demo.enabled (not $.values.storage.keep) -}}
{{- fail "job.result: a kept model would go with the release; set storage.keep to true, and demo.enabled to false" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A job that scores rows. The argument: its job, and of that the features and labels by holder. */}}
{{- define "kit.checkScores" -}}
{{- $job := .job -}}
{{- if .labels -}}{{- fail "job.label: rows are scored without one; take it out" -}}{{- end -}}
{{- range $holder := list "alice" "bob" -}}
{{- if not (get $.features $holder) -}}
{{- fail (printf "job.features: %s has none, and the other all: who has the model and all of its columns scores alone, by deployer score" $holder) -}}
{{- end -}}
{{- end -}}
{{- with $job.align -}}
{{- if or (ne (toString (get . "join")) "left") (eq (toString (get . "order")) "same") -}}
{{- fail "job.align: rows to score are in the same order at both, and align is left out; or in any order, by align.join: left" -}}
{{- end -}}
{{- if eq (toString $job.result) "both" -}}
{{- fail "job.result: both: with align.join: left, scores are of one holder's rows, and that holder alone knows which row each is of; say alice or bob" -}}
{{- end -}}
{{- end -}}
{{- if not (has (toString $job.result) (list "alice" "bob" "both")) -}}
{{- fail (printf "job.result: %v: scores go to alice, bob or both" $job.result) -}}
{{- end -}}
{{- if and (hasKey $job.model "unit") (ne (float64 $job.model.unit) 1.0) (ne (toString $job.model.predicts) "linear-regression") -}}
{{- fail "job.model.unit: linear regression alone has one" -}}
{{- end -}}
{{- if $job.kept -}}
{{- fail "job.kept: open the model first, and score by what its receiver has; take it out" -}}
{{- end -}}
{{- $said := list -}}
{{- /* As invitations write them, with every key: what training has where nobody says otherwise. */ -}}
{{- $unsaid := dict "passes" "200" "tolerance" "0.001" "C" "1" "rarest" "0.01" -}}
{{- range $key, $value := $job.training -}}
{{- if ne (toString $value) (get $unsaid $key) -}}{{- $said = append $said "training" -}}{{- end -}}
{{- end -}}
{{- range $key := list "evaluation" "statistics" "privacy" -}}
{{- if not (kindIs "invalid" (dig $key nil $job)) -}}{{- $said = append $said $key -}}{{- end -}}
{{- end -}}
{{- with $said -}}
{{- $key := first . -}}
{{- fail (printf "job.%s: nothing is trained where rows are scored; take it out" $key) -}}
{{- end -}}
{{- end }}
