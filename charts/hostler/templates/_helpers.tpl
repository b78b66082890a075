{{- define "hostler.labels" -}}
app.kubernetes.io/name: hostler
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: hostler
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "hostler.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "hostler.launcherImage" -}}
{{ .Values.launcher.image.repository }}:{{ .Values.launcher.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "hostler.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 1001
runAsGroup: 1001
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "hostler.dataVolumes" -}}
{{- /* ours, or those of a CDI that is installed */ -}}
{{ or (and .Values.launcher.enabled .Values.disks.enabled) (.Capabilities.APIVersions.Has "cdi.kubevirt.io/v1beta1/DataVolume") }}
{{- end }}

{{/* The names of the image pull secrets, as JSON. */}}
{{- define "hostler.pullSecrets" -}}
{{- $names := list }}
{{- range .Values.imagePullSecrets }}
{{- $names = append $names .name }}
{{- end }}
{{- $names | toJson }}
{{- end }}
