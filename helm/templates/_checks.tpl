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
{{- include "kit.checkJob" $values.job -}}
{{- $names := list -}}
{{- range $n, $job := include "kit.queue" (first .) | fromJsonArray -}}
{{- if has $job.name $names -}}{{- fail (printf "jobs: two have the name %q" $job.name) -}}{{- end -}}
{{- $names = append $names $job.name -}}
{{- if and $values.jobs (dig "training" "start" "" $job) -}}
{{- fail "jobs: a job that begins from a former model (training.start) is not done in a queue; put it alone under job" -}}
{{- end -}}
{{- include "kit.checkJob" $job -}}
{{- range $holder := list "alice" "bob" -}}
{{- range $column := get (include "kit.features" $job | fromJson) $holder -}}
{{- if not (has $column (get (include "kit.features" $values.job | fromJson) $holder)) -}}
{{- fail (printf "jobs.%d.features: %q is not among the columns that job says %s's table has; name it in job.features too" $n $column $holder) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
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
{{- if or .kept (eq (toString .result) "kept") -}}
{{- fail "job.result: a model is kept, and opened again, by parties that are started by hand or by deployer run; on a cluster let somebody receive it" -}}
{{- end -}}
{{- $features := .features -}}
{{- if not (kindIs "map" $features) -}}{{- $features = dict "alice" $features -}}{{- end -}}
{{- $label := .label -}}
{{- if not (kindIs "map" $label) -}}{{- $label = dict "bob" $label -}}{{- end -}}
{{- $names := concat (get $features "alice" | default list) (get $features "bob" | default list) -}}
{{- $labels := compact (list (get $label "alice") (get $label "bob")) -}}
{{- if not $names -}}{{- fail "job.features: no holder has any" -}}{{- end -}}
{{- if ne (len $names) (len (uniq $names)) -}}{{- fail "job.features: one stands more than once" -}}{{- end -}}
{{- if ne (len $labels) 1 -}}
{{- fail "job.label: it is the column of one holder, alice or bob" -}}
{{- end -}}
{{- if has (first $labels) $names -}}
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
{{- if gt (int64 (get .training "batch_size" | default 0)) (int64 .rows) -}}
{{- fail (printf "job.training.batch_size: %d is more than rows (%d)" (int64 .training.batch_size) (int64 .rows)) -}}
{{- end -}}
{{- end }}
