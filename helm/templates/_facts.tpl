{{/*
What the templates share. deployer/manifests/render.py works out the same facts for the templates in k8s/.
*/}}

{{/* What the names of all objects begin with. */}}
{{- define "kit.name" -}}
{{- $name := .Values.name | default .Release.Name -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$" $name) -}}
{{- fail (printf "name: %q is not 1 to 40 of a-z, 0-9 and -, beginning with a letter" $name) -}}
{{- end -}}
{{- $name -}}
{{- end }}

{{- define "kit.namespace" -}}
{{- .Values.namespace | default .Release.Namespace -}}
{{- end }}

{{- define "kit.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag }}{{- end -}}
{{- end -}}
{{- end }}

{{/* The labels that select a component's objects: (list $ component), as JSON. */}}
{{- define "kit.selector" -}}
{{- dict
  "app.kubernetes.io/name" "tfe-kit"
  "app.kubernetes.io/instance" (include "kit.name" (first .))
  "app.kubernetes.io/component" (last .)
  | toJson -}}
{{- end }}

{{/* The three parties, as JSON: alice, bob, server. */}}
{{- define "kit.parties" -}}
{{- $parties := list -}}
{{- range $role := list "alice" "bob" "server" -}}
{{- $settings := index $.Values $role -}}
{{- $name := printf "%s-%s" (include "kit.name" $) $role -}}
{{- $namespace := $settings.namespace | default (include "kit.namespace" $) -}}
{{- $host := printf "%s-0.%s.%s.svc.%s" $name $name $namespace $.Values.clusterDomain -}}
{{- $address := $settings.address | default (printf "%s:%d" $host (int $.Values.ports.party)) -}}
{{- $selector := include "kit.selector" (list $ $role) | fromJson -}}
{{- /* Where the others see it, as peers of a NetworkPolicy; none: anywhere. */ -}}
{{- $origin := list -}}
{{- if $settings.address -}}
{{- range $settings.networks -}}
{{- $origin = append $origin (dict "ipBlock" (dict "cidr" .)) -}}
{{- end -}}
{{- else -}}
{{- $origin = list (dict
  "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" $namespace))
  "podSelector" (dict "matchLabels" $selector)) -}}
{{- end -}}
{{- if and $.Values.demo.enabled (or (not $settings.enabled) $settings.address) -}}
{{- fail (printf "demo.enabled: the demo has all three parties here, but %s is not; set demo.enabled to false" $role) -}}
{{- end -}}
{{- $volume := $settings.tableVolume | default dict -}}
{{- $claim := $volume.existingClaim | default (ternary (printf "%s-table" $name) "" (not (empty $volume.size))) -}}
{{- $parties = append $parties (dict
  "role" $role
  "name" $name
  "namespace" $namespace
  "host" $host
  "address" $address
  "port" (regexFind "[0-9]+$" $address | int)
  "origin" $origin
  "selector" $selector
  "podLabels" (merge (deepCopy $selector) $settings.labels)
  "labels" (merge (deepCopy $selector) (dict "app.kubernetes.io/managed-by" $.Release.Service) $settings.labels)
  "keysSecret" ($settings.keysSecret | default (printf "%s-keys" $name))
  "tableSecret" ($settings.tableSecret | default (printf "%s-table" $name))
  "tableVolume" $volume
  "tableClaim" $claim
  "settings" $settings) -}}
{{- end -}}
{{- include "kit.check" (list $ $parties) -}}
{{- $parties | toJson -}}
{{- end }}

{{/* What an object of a party says of itself, beside its name: the argument is the party. */}}
{{- define "kit.metadata" -}}
namespace: {{ .namespace | quote }}
labels: {{- toYaml .labels | nindent 2 }}
{{- with .settings.annotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The hosts map. */}}
{{- define "kit.hosts" -}}
{{- $hosts := dict -}}
{{- range $index, $party := include "kit.parties" . | fromJsonArray -}}
{{- $_ := set $hosts (printf "server%d" $index) $party.address -}}
{{- end -}}
{{- $hosts | toPrettyJson -}}
{{- end }}

{{/* What Pod Security's level `restricted` asks of a pod, and the user that the image has. */}}
{{- define "kit.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.security.user }}
runAsUser: {{ . | int64 }}
runAsGroup: {{ . | int64 }}
fsGroup: {{ . | int64 }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "kit.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "kit.pullSecrets" -}}
{{- with .Values.image.pullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end -}}
{{- end }}

{{/* Whether the job asks for approvals, which each pod then looks for in a Secret. */}}
{{- define "kit.approvals" -}}
{{- if dig "identities" "alice" "approval" "" .Values.job -}}true{{- end -}}
{{- end }}

{{/* Whose labels the job keeps private: that pod looks for its label key in a Secret. */}}
{{- define "kit.privateLabels" -}}
{{- $private := list -}}
{{- range include "kit.queue" . | fromJsonArray -}}{{- if (.privacy | default dict).labels -}}{{- $private = append $private .name -}}{{- end -}}{{- end -}}
{{- if $private -}}
{{- $label := .Values.job.label -}}
{{- if not (kindIs "map" $label) -}}bob
{{- else if $label.alice -}}alice
{{- else -}}bob
{{- end -}}
{{- end -}}
{{- end }}

{{/* Who begins from a former model, and so looks for it in a Secret. */}}
{{- define "kit.starting" -}}
{{- if and (eq (toString .Values.job.training.start) "model") (not .Values.job.kept) -}}
{{- if not (kindIs "map" .Values.job.features) -}}alice
{{- else -}}
{{- range $holder, $columns := .Values.job.features }}{{ if $columns }}{{ $holder }} {{ end }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The file of the model by which rows are scored, for each party that looks for one in a Secret. */}}
{{- define "kit.scoring" -}}
{{- $files := dict -}}
{{- if include "kit.scores" .Values.job -}}
{{- range list "alice" "bob" -}}{{- $_ := set $files . (ternary "model.json" "columns.json" (eq . $.Values.job.model.holder)) -}}{{- end -}}
{{- end -}}
{{- $files | toJson -}}
{{- end }}

{{/* Whether a job scores rows, and trains nothing. */}}
{{- define "kit.scores" -}}
{{- if kindIs "map" .model -}}{{- if eq (toString .model.kind) "joint-scores" -}}true{{- end -}}{{- end -}}
{{- end }}

{{/* The job, as all parties have it: of two solvers' keys those that are no default's; where rows
are scored, neither the label nor the solver of the defaults. */}}
{{- define "kit.job" -}}
{{- $scores := include "kit.scores" .Values.job -}}
{{- $training := .Values.job.training -}}
{{- if or $scores (hasKey $training "passes") (hasKey $training "tolerance") (hasKey $training "C") (hasKey $training "class_weight") (hasKey $training "rarest") (hasKey $training "start") -}}
{{- $training = omit $training "epochs" "batch_size" "learning_rate" "order_seed" -}}
{{- end -}}
{{- $job := set (deepCopy .Values.job) "training" $training -}}
{{- if and $job.align (ne (toString (get $job.align "order")) "same") -}}
{{- $job = omit $job "rows" -}}
{{- end -}}
{{- if and $scores (eq (toString $job.label) "fraud") -}}{{- $job = omit $job "label" -}}{{- end -}}
{{- toPrettyJson $job -}}
{{- end }}

{{/* What is done, in order, as JSON: the job, or those of a queue, each with what it has otherwise;
one that scores takes over nothing that is of trainings. */}}
{{- define "kit.queue" -}}
{{- $common := include "kit.job" . | fromJson -}}
{{- $jobs := list -}}
{{- range $own := .Values.jobs -}}
{{- $job := deepCopy $common -}}
{{- if include "kit.scores" $own -}}
{{- $label := $job.label -}}
{{- if not (kindIs "map" $label) -}}{{- $label = dict "bob" $label -}}{{- end -}}
{{- $columns := dict -}}
{{- range $name, $of := $job.columns -}}{{- if not (has $name (values $label)) -}}{{- $_ := set $columns $name $of -}}{{- end -}}{{- end -}}
{{- $job = set (omit $job "label" "training" "evaluation" "statistics" "privacy") "columns" $columns -}}
{{- if hasKey $own "align" -}}{{- $job = omit $job "rows" -}}{{- end -}}
{{- end -}}
{{- range $key, $value := $own -}}{{- $_ := set $job $key $value -}}{{- end -}}
{{- $_ := set $job "trust_domain" ($common.trust_domain | default $common.name) -}}
{{- $jobs = append $jobs $job -}}
{{- end -}}
{{- $jobs | default (list $common) | toJson -}}
{{- end }}

{{/* The file of a job of these: (list $ number), from 0. */}}
{{- define "kit.jobFile" -}}
{{- if (first .).Values.jobs -}}job-{{ add1 (last .) }}.yaml{{- else -}}job.yaml{{- end -}}
{{- end }}

{{/* The jobs and the hosts map, as texts. */}}
{{- define "kit.agreed" -}}
{{- range include "kit.queue" . | fromJsonArray -}}
{{ toPrettyJson . }}
{{ end -}}
{{- include "kit.hosts" . -}}
{{- end }}
