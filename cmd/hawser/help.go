// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

// The help templates: what to type first, then why, then every flag.
const (
	appHelp = `hawser - {{.Usage}}

USAGE:
   {{.UsageText}}

COMMANDS:{{range .VisibleCommands}}
   {{printf "%-12s" .Name}} {{.Usage}}{{end}}

Run "hawser help COMMAND" for one of them.

{{.Description}}
`
	groupHelp = `{{.HelpName}} - {{.Usage}}

USAGE:
   {{.UsageText}}

COMMANDS:{{range .VisibleCommands}}
   {{printf "%-12s" .Name}} {{.Usage}}{{end}}
`
	leafHelp = `{{.HelpName}} - {{.Usage}}

USAGE:
   {{.HelpName}} [flags]{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}
{{if .Description}}
{{.Description}}
{{end}}
FLAGS:{{range .VisibleFlagCategories}}{{if .Name}}

{{.Name}}:{{end}}{{range .Flags}}
   {{.}}{{end}}{{end}}
`
)
