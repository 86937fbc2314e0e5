// Command gitops-oracle says how GitOps tools would judge an object: what kstatus (Flux, kpt) computes, or what an Argo CD health script returns.
//
//	gitops-oracle kstatus < objects.json       a JSON array of objects; prints a JSON array of {"status", "message"}
//	gitops-oracle lua health.lua < objects.json  the same for a script that sees `obj` and returns a table, as Argo CD runs it
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gitops-oracle:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var read []any
	if err := kubejson.Unmarshal(input, &read); err != nil { // whole numbers as int64, as clients have them
		return fmt.Errorf("standard input: %w", err)
	}
	objects := make([]map[string]any, 0, len(read))
	for number, item := range read {
		object, ok := item.(map[string]any)
		if !ok {
			return fmt.Errorf("object %d is a %T", number, item)
		}
		objects = append(objects, object)
	}
	var judge func(map[string]any) (verdict, error)
	switch {
	case len(args) == 1 && args[0] == "kstatus":
		judge = kstatus
	case len(args) == 2 && args[0] == "lua":
		script, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		judge = func(object map[string]any) (verdict, error) { return health(string(script), object) }
	default:
		return fmt.Errorf("usage: gitops-oracle kstatus | lua SCRIPT")
	}
	verdicts := make([]verdict, 0, len(objects))
	for number, object := range objects {
		found, err := judge(object)
		if err != nil {
			return fmt.Errorf("object %d: %w", number, err)
		}
		verdicts = append(verdicts, found)
	}
	return json.NewEncoder(os.Stdout).Encode(verdicts)
}

func kstatus(object map[string]any) (verdict, error) {
	result, err := status.Compute(&unstructured.Unstructured{Object: object})
	if err != nil {
		return verdict{}, err
	}
	return verdict{string(result.Status), result.Message}, nil
}

// health runs the script with `obj` and the libraries package, base and table, no more: Argo CD gives a script these, unless it is told to open all.
func health(script string, object map[string]any) (verdict, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(library.open), NRet: 0, Protect: true}, lua.LString(library.name)); err != nil {
			return verdict{}, err
		}
	}
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(script); err != nil {
		return verdict{}, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return verdict{}, fmt.Errorf("the script returned a %s, not a table", state.Get(-1).Type())
	}
	return verdict{lua.LVAsString(table.RawGetString("status")), lua.LVAsString(table.RawGetString("message"))}, nil
}

func value(state *lua.LState, from any) lua.LValue {
	switch typed := from.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, item := range typed {
			table.RawSetString(key, value(state, item))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, item := range typed {
			table.Append(value(state, item))
		}
		return table
	case string:
		return lua.LString(typed)
	case bool:
		return lua.LBool(typed)
	case float64:
		return lua.LNumber(typed)
	case int64:
		return lua.LNumber(typed)
	}
	return lua.LNil
}
