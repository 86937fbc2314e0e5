{{- define "swarm-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "swarm-operator.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "swarm-operator.labels" -}}
{{ include "swarm-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "swarm-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "swarm-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "swarm-operator.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What the operator does with objects; tests/unit/deploy/test_rbac.py compares it with the calls of the Kubernetes adapter. */}}
{{- define "swarm-operator.rules" -}}
- apiGroups: [swarmops.io]
  resources: [swarmclusters, swarmservices, swarmstacks, swarmworkerpools]
  verbs: [get, list, watch, patch]
- apiGroups: [swarmops.io]
  resources: [swarmclusters/status, swarmservices/status, swarmstacks/status, swarmworkerpools/status]
  verbs: [patch]
- apiGroups: [swarmops.io]
  resources: [swarmservices]
  verbs: [create, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, update]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [list, create, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
