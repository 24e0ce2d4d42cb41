"""A client on grpcio: submits one task and prints what becomes of it, a line of JSON for each message.

Usage: client.py HOST:PORT TASK_ID TYPE INPUT_JSON
A call that fails is printed as {"code", "message", "details"}, and the exit code is 1.
"""

import json
import sys

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2  # noqa: F401  (registers the types of the details)
from grpc_status import rpc_status
from mycel.v1 import agent_service_pb2, agent_service_pb2_grpc


def show(message: object) -> None:
    print(json.dumps(json_format.MessageToDict(message)), flush=True)


def main(address: str, task_id: str, type: str, input: str) -> int:
    with grpc.insecure_channel(address) as channel:
        mesh = agent_service_pb2_grpc.AgentServiceStub(channel)
        request = agent_service_pb2.SubmitTaskRequest(task_id=task_id, type=type)
        json_format.Parse(input, request.input.json)
        try:
            show(mesh.SubmitTask(request, timeout=30))
            for result in mesh.StreamResults(agent_service_pb2.StreamResultsRequest(task_id=task_id), timeout=60):
                show(result)
            status = agent_service_pb2.GetTaskStatusRequest(task_id=task_id)
            show(mesh.GetTaskStatus(status, timeout=30))
        except grpc.RpcError as error:
            details = [json_format.MessageToDict(detail) for detail in rpc_status.from_call(error).details]
            print(json.dumps({"code": error.code().name, "message": error.details(), "details": details}))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
