{{- define "agent.labels" -}}
app.kubernetes.io/name: foundation-agent
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ .Values.mode }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "agent.selector" -}}
app.kubernetes.io/name: foundation-agent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* GOMEMLIMIT in MiB, a share of limits.memory. */}}
{{- define "agent.memlimit" -}}
{{- $memory := .Values.resources.limits.memory -}}
{{- $mib := 0 -}}
{{- if hasSuffix "Gi" $memory -}}{{- $mib = mul (trimSuffix "Gi" $memory | int) 1024 -}}
{{- else -}}{{- $mib = trimSuffix "Mi" $memory | int -}}{{- end -}}
{{- printf "%dMiB" (mulf $mib .Values.memoryShare | int) -}}
{{- end }}

{{/* The agent's container, in every mode. */}}
{{- define "agent.container" -}}
name: foundation-agent
{{- $distribution := ternary "foundation-agent" "foundation-agent-node" (eq .Values.mode "sidecar") }}
image: "{{ .Values.image.repository | default $distribution }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - --config=/etc/foundation-agent/{{ .Values.mode }}.yaml
  {{- if and (eq .Values.mode "daemonset") .Values.daemonset.host }}
  - --config=/etc/foundation-agent/host.yaml
  {{- end }}
  {{- range .Values.overlays }}
  - --config=/etc/foundation-agent/{{ . }}
  {{- end }}
  {{- range $i, $_ := .Values.config }}
  - --config=/etc/foundation-agent-overlays/{{ $i }}.yaml
  {{- end }}
env:
  - {name: FOUNDATION_STATE_DIR, value: /var/lib/foundation-agent}
  - {name: FOUNDATION_SOCKET, value: /run/foundation-agent/app.sock}
  - {name: FOUNDATION_FLAGS_FILE, value: /etc/foundation-agent/flags.json}
  - {name: GOMEMLIMIT, value: {{ include "agent.memlimit" . | quote }}}
  - {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .Values.export.endpoint | quote }}}
  - {name: FOUNDATION_PROBE_HOST, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
  - {name: K8S_POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
  - {name: K8S_POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
  - {name: K8S_NAMESPACE_NAME, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
  - {name: K8S_NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
  - name: OTEL_RESOURCE_ATTRIBUTES
    value: k8s.pod.name=$(K8S_POD_NAME),k8s.pod.uid=$(K8S_POD_UID),k8s.namespace.name=$(K8S_NAMESPACE_NAME),k8s.node.name=$(K8S_NODE_NAME)
  {{- if eq .Values.mode "sidecar" }}
  - {name: FOUNDATION_ON_SHUTDOWN, value: deliver}
  {{- else }}
  - {name: FOUNDATION_LISTEN_HOST, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
  {{- end }}
  {{- if eq .Values.mode "daemonset" }}
  - {name: FOUNDATION_TOKEN_FILE, value: /etc/foundation-agent-token/token}
  {{- if .Values.daemonset.host }}
  - {name: FOUNDATION_HOST_ROOT, value: /host}
  {{- end }}
  {{- end }}
  {{- if eq .Values.mode "gateway" }}
  - {name: FOUNDATION_TRUSTED_PEERS, value: {{ toJson .Values.gateway.trustedPeers | quote }}}
  {{- end }}
  {{- with .Values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.export.headersSecret }}
envFrom:
  - secretRef: {name: {{ . | quote }}}
{{- end }}
ports:
  - {name: health, containerPort: 13133}
  - {name: metrics, containerPort: 8888}
  {{- if ne .Values.mode "sidecar" }}
  - {name: otlp-grpc, containerPort: 4317}
  - {name: otlp-http, containerPort: 4318}
  {{- end }}
startupProbe:
  httpGet: {path: /, port: health}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /, port: health}
  periodSeconds: 10
  failureThreshold: 6
{{- if ne .Values.mode "sidecar" }}
readinessProbe:
  httpGet: {path: /, port: health}
  periodSeconds: 5
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  {{- if eq .Values.mode "daemonset" }}
  # A hostPath belongs to root. Root without capabilities may write what root owns, and nothing else.
  runAsUser: 0
  runAsGroup: 0
  {{- else }}
  runAsNonRoot: true
  runAsUser: {{ .Values.user }}
  runAsGroup: {{ .Values.group }}
  {{- end }}
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: state, mountPath: /var/lib/foundation-agent}
  - {name: socket, mountPath: /run/foundation-agent}
  {{- if .Values.config }}
  - {name: overlays, mountPath: /etc/foundation-agent-overlays, readOnly: true}
  {{- end }}
  {{- if eq .Values.mode "daemonset" }}
  - {name: token, mountPath: /etc/foundation-agent-token, readOnly: true}
  {{- if .Values.daemonset.host }}
  - {name: host, mountPath: /host, readOnly: true, mountPropagation: HostToContainer}
  {{- end }}
  {{- end }}
{{- end }}

{{/* Volumes of every mode but the one for state. */}}
{{- define "agent.volumes" -}}
{{- if .Values.config }}
- {name: overlays, configMap: {name: {{ .Release.Name }}-overlays}}
{{- end }}
{{- if eq .Values.mode "daemonset" }}
- {name: token, secret: {secretName: {{ .Values.daemonset.tokenSecret | quote }}}}
{{- if .Values.daemonset.host }}
- {name: host, hostPath: {path: /}}
{{- end }}
{{- end }}
{{- end }}

{{- define "agent.podSecurity" -}}
runAsNonRoot: true
fsGroup: {{ .Values.group }}
seccompProfile: {type: RuntimeDefault}
{{- end }}
