{{/* The container, the same in both modes. */}}
{{- define "tollgate.container" -}}
name: tollgate
image: {{ include "tollgate.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: ["run", "--config", "/etc/tollgate/proxy.toml"]
{{- if or .Values.admin.reachable .Values.env }}
env:
  {{- if .Values.admin.reachable }}
  - name: TOLLGATE_ADMIN__ADDRESS
    value: "0.0.0.0:{{ .Values.ports.admin }}"
  {{- end }}
  {{- with .Values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
ports:
  - { name: tollgate, containerPort: {{ .Values.ports.listen }} }
  {{- if .Values.admin.reachable }}
  - { name: tollgate-admin, containerPort: {{ .Values.ports.admin }} }
  {{- end }}
{{- $alive := ternary (dict "httpGet" (dict "path" "/healthz" "port" "tollgate-admin")) (dict "tcpSocket" (dict "port" "tollgate")) .Values.admin.reachable }}
{{- $ready := ternary (dict "httpGet" (dict "path" "/readyz" "port" "tollgate-admin")) (dict "tcpSocket" (dict "port" "tollgate")) .Values.admin.reachable }}
startupProbe:
  {{- toYaml $alive | nindent 2 }}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  {{- toYaml $alive | nindent 2 }}
  periodSeconds: 10
readinessProbe:
  {{- toYaml $ready | nindent 2 }}
  periodSeconds: 5
securityContext:
  allowPrivilegeEscalation: false
  capabilities: { drop: [ALL] }
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 65534
  runAsGroup: 65534
  seccompProfile: { type: RuntimeDefault }
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - { name: tollgate-config, mountPath: /etc/tollgate, readOnly: true }
  {{- range $folder, $secret := .Values.secrets }}
  {{- if $secret }}
  - { name: tollgate-{{ $folder }}, mountPath: /run/tollgate/{{ $folder }}, readOnly: true }
  {{- end }}
  {{- end }}
  - { name: tollgate-audit, mountPath: /var/lib/tollgate }
{{- end -}}

{{/* What it mounts, save the audit. */}}
{{- define "tollgate.volumes" -}}
- name: tollgate-config
  configMap: { name: {{ include "tollgate.fullname" . }} }
{{- range $folder, $secret := .Values.secrets }}
{{- if $secret }}
- name: tollgate-{{ $folder }}
  # Readable by the pod's group, which the container's user is in, and by nobody else.
  secret: { secretName: {{ $secret }}, defaultMode: 0440 }
{{- end }}
{{- end }}
{{- end -}}
