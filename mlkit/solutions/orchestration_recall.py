# %% orchestration_recall.quiz
answer("orchestration_recall", q1="b", q2="a")
