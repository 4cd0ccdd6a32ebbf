// Command linearizable tells whether a history of registers is linearizable, by porcupine, which etcd's own robustness tests use.
//
//	linearizable <history.json> <picture.html>
//
// The history is a list of calls that all returned. It prints "ok", "illegal" or "unknown" (nothing came of it in a minute); of an illegal one it draws a picture.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

type call struct {
	Client   int    `json:"client"`
	Key      string `json:"key"`
	Kind     string `json:"kind"`
	Value    string `json:"value"`
	Expect   string `json:"expect"`
	Called   int64  `json:"called"`
	Returned int64  `json:"returned"`
	Output   string `json:"output"`
	Swapped  bool   `json:"swapped"`
}

// register is what a key holds; the empty string is a key that was never written.
var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, operation := range history {
			key := operation.Input.(call).Key
			byKey[key] = append(byKey[key], operation)
		}
		parts := [][]porcupine.Operation{}
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		held, asked := state.(string), input.(call)
		switch {
		case asked.Kind == "put":
			return true, asked.Value
		case asked.Kind == "get":
			return asked.Output == held, held
		case asked.Swapped:
			return held == asked.Expect, asked.Value
		default:
			return held != asked.Expect && held == asked.Output, held
		}
	},
	DescribeOperation: func(input, _ any) string {
		asked := input.(call)
		switch {
		case asked.Kind == "put":
			return fmt.Sprintf("put %s", asked.Value)
		case asked.Kind == "get":
			return fmt.Sprintf("get: %s", asked.Output)
		case asked.Swapped:
			return fmt.Sprintf("swap %s for %s", asked.Expect, asked.Value)
		default:
			return fmt.Sprintf("no swap of %s: %s", asked.Expect, asked.Output)
		}
	},
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "linearizable:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: linearizable <history.json> <picture.html>")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var calls []call
	if err := json.Unmarshal(text, &calls); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	history := make([]porcupine.Operation, 0, len(calls))
	for _, one := range calls {
		history = append(history, porcupine.Operation{
			ClientId: one.Client, Input: one, Call: one.Called, Output: one, Return: one.Returned,
		})
	}
	result, info := porcupine.CheckOperationsVerbose(register, history, time.Minute)
	switch result {
	case porcupine.Ok:
		fmt.Println("ok")
	case porcupine.Illegal:
		fmt.Println("illegal")
		return porcupine.VisualizePath(register, info, args[1])
	default:
		fmt.Println("unknown")
	}
	return nil
}
